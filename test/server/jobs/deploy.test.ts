/** deploy/: every file is what its reader takes, and names options, commands, images and queues that there are. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../../server/config/load.js'
import { PREFIX } from '../../../server/jobs/store/queue.js'
import { repositoryRoot } from '../../support/paths.js'
import { pythonWith, runPython } from '../../support/python.js'
import { without } from '../../support/without.js'

// biome-ignore lint/suspicious/noExplicitAny: YAML of any shape
type Document = any
type Checked = Record<string, [document: Document, complaints: string[]][]>

const folder = `${repositoryRoot}/deploy`
const manifests = readdirSync(`${folder}/kubernetes`).map((name) => `${folder}/kubernetes/${name}`)
const scratch = mkdtempSync(path.join(tmpdir(), 'sam3-deploy-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

function check(files: Record<string, 'compose' | 'kubernetes'>): Checked {
  const python = pythonWith('yaml', 'kubernetes_validate', 'check_jsonschema', 'cloudcoil')
  return runPython(python, [`${repositoryRoot}/test/support/deploy_oracle.py`], files) as Checked
}

/** A copy of a file in which something is written otherwise. */
function change(file: string, before: string, after: string): string {
  const text = readFileSync(`${folder}/${file}`, 'utf8')
  expect(text).toContain(before)
  const changed = path.join(scratch, path.basename(file))
  writeFileSync(changed, text.replace(before, after))
  return changed
}

describe.skipIf(without('python'))('deploy/', () => {
  let all: Checked
  let documents: Document[]
  beforeAll(() => {
    const files = Object.fromEntries(manifests.map((file) => [file, 'kubernetes' as const]))
    all = check({ ...files, [`${folder}/compose.yaml`]: 'compose' })
    documents = manifests.flatMap((file) => all[file]!.map(([document]) => document))
  })
  const named = (kind: string, name: string) =>
    documents.find((document) => document.kind === kind && document.metadata.name === name)

  it('is what Docker Compose, Kubernetes and KEDA take', () => {
    const complaints = Object.entries(all).flatMap(([file, found]) =>
      found.flatMap(([, said]) => said.map((one) => [file, one])),
    )
    expect(complaints).toEqual([])
    expect(documents.length).toBeGreaterThan(10)
  })

  it('is really checked: mistakes are refused', () => {
    const mistakes = [
      change('compose.yaml', 'stop_grace_period', 'stop_grace_periode'),
      change('kubernetes/work.yaml', 'terminationGracePeriodSeconds', 'terminationGraceSeconds'),
      change('kubernetes/serve.yaml', 'path: /livez', 'route: /livez'),
      change('kubernetes/scale.yaml', 'maxReplicaCount: 8', 'maxReplicas: 8'),
    ]
    const found = check(
      Object.fromEntries(mistakes.map((file) => [file, file.includes('compose') ? 'compose' : 'kubernetes'])),
    )
    for (const file of mistakes)
      expect(
        found[file]!.flatMap(([, said]) => said),
        file,
      ).not.toEqual([])
  })

  it('has all of its manifests in kustomization.yaml', () => {
    const { resources } = documents.find(({ kind }) => kind === 'Kustomization')
    const names = manifests.map((file) => path.basename(file)).filter((name) => name !== 'kustomization.yaml')
    expect(resources.toSorted()).toEqual(names.toSorted())
  })

  it('names options that there are, with values that they take', () => {
    const compose = all[`${folder}/compose.yaml`]![0]![0]
    const shell = (text: string) => text.replace(/\$\{\w+:-([^}]*)\}/g, '$1').replace(/\$\{\w+:\?[^}]*\}/g, 'secret')
    for (const env of [
      compose.services.serve.environment,
      compose.services.work.environment,
      named('ConfigMap', 'sam3-options').data,
    ]) {
      const given = Object.fromEntries(Object.entries<string>(env).map(([name, value]) => [name, shell(value)]))
      const { origins, config } = loadConfig({ env: given })
      const used = Object.values(origins).flatMap((origin) => /^variable (.*)$/.exec(origin)?.[1] ?? [])
      expect(used.toSorted()).toEqual(
        Object.keys(given)
          .filter((name) => name.startsWith('SAM3_'))
          .toSorted(),
      )
      expect(config.redis).toMatch(/^redis:\/\/(sam3-)?redis:6379$/)
    }
  })

  it.each(['serve', 'work'])('gives %s a GPU, probes, and more time to end than it takes', (name) => {
    const { spec } = named('Deployment', `sam3-${name}`)
    const pod = spec.template.spec
    const [container] = pod.containers
    expect(container.args).toEqual([name, '--host', '0.0.0.0'])
    expect(container.resources.limits['nvidia.com/gpu']).toBe(1)
    expect(container.livenessProbe.httpGet.path).toBe('/livez')
    expect(container.readinessProbe.httpGet.path).toBe('/readyz')
    const { SAM3_SERVE_SHUTDOWN_TIMEOUT_MS: timeout } = named('ConfigMap', 'sam3-options').data
    expect(pod.terminationGracePeriodSeconds * 1000).toBeGreaterThan(Number(timeout))
    expect(named('PodDisruptionBudget', `sam3-${name}`).spec.selector).toEqual(spec.selector)
    const claims = pod.volumes.flatMap((volume: Document) => volume.persistentVolumeClaim?.claimName ?? [])
    for (const claim of claims) expect(named('PersistentVolumeClaim', claim), claim).toBeDefined()
  })

  it('scales the workers by the queue that there is', () => {
    const { spec } = named('ScaledObject', 'sam3-work')
    expect(named('Deployment', spec.scaleTargetRef.name)).toBeDefined()
    const { config } = loadConfig({})
    const lists = spec.triggers.map(({ metadata }: Document) => metadata.listName)
    expect(lists).toEqual([`${PREFIX}:${config.queueName}:wait`, `${PREFIX}:${config.queueName}:active`])
    expect(spec.triggers.map(({ metadata }: Document) => Number(metadata.listLength))).toEqual([
      config.jobConcurrency,
      config.jobConcurrency,
    ])
  })

  it('keeps the queue on its disk, and throws no job away', () => {
    const args = named('StatefulSet', 'sam3-redis').spec.template.spec.containers[0].args
    expect(args.join(' ')).toContain('--appendonly yes')
    expect(args.join(' ')).toContain('--maxmemory-policy noeviction')
    expect(all[`${folder}/compose.yaml`]![0]![0].services.redis.command).toEqual(args)
  })
})
