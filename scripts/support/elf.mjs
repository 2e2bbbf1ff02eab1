// What a shared library asks of the system, read with readelf.

import { must } from './command.mjs'

const FIX = 'Install binutils (apt install binutils).'

const NAMES = ['GLIBC', 'GLIBCXX', 'CXXABI']
const newest = (versions) => versions.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1)

/**
 * @param {string} file
 * @returns {Promise<{ needed: string[], searchPath: string[], requires: Record<'GLIBC' | 'GLIBCXX' | 'CXXABI', string | undefined> }>}
 *   `requires`: the newest version of each that any symbol asks for
 */
export async function inspectLibrary(file) {
  const dynamic = (await must('readelf', ['--dynamic', '--wide', file], FIX)).stdout
  const versions = (await must('readelf', ['--version-info', '--wide', file], FIX)).stdout
  const all = (pattern, text) => [...text.matchAll(pattern)].map((match) => match[1])
  const requires = Object.fromEntries(
    NAMES.map((name) => [name, newest(all(new RegExp(`Name: ${name}_([0-9.]+)`, 'g'), versions))]),
  )
  return {
    needed: all(/\(NEEDED\).*\[(.*)\]/g, dynamic),
    searchPath: all(/\((?:RPATH|RUNPATH)\).*\[(.*)\]/g, dynamic),
    requires,
  }
}

/** What several libraries ask for together. */
export function newestRequired(libraries) {
  return Object.fromEntries(
    NAMES.map((name) => [name, newest(libraries.map(({ requires }) => requires[name]).filter(Boolean))]),
  )
}
