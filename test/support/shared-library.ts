/** Small shared libraries, compiled on the spot. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** The bytes of a library of this C source. */
export function sharedLibrary(source: string, options: readonly string[] = []): Buffer {
  const folder = mkdtempSync(path.join(tmpdir(), 'sam3-library-'))
  try {
    writeFileSync(path.join(folder, 'x.c'), source)
    execFileSync('cc', ['-shared', '-fPIC', '-o', path.join(folder, 'x.so'), path.join(folder, 'x.c'), ...options])
    return readFileSync(path.join(folder, 'x.so'))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Kills the process that opens it. */
export const CRASHING = '#include <stdlib.h>\n__attribute__((constructor)) static void crash(void) { abort(); }'
export const HARMLESS = 'int sam3_harmless(void) { return 1; }'
