/** What `sam3-node doctor` says about the machine: each thing that the engine needs, and what to do where it lacks. */
import { formatBytes } from '../../download/disk-space.js'
import { obstacle } from '../../libtorch/flavour.js'
import { INSTALL_COMMAND } from '../../libtorch/find.js'
import { type Finding, problem } from './findings.js'
import { type DtypeSupport, failed, type Gpu, type Machine, type OpenedEngine } from './machine.js'

const OLDEST_NODE = 20

const isOlder = (one: string, other: string) => one.localeCompare(other, 'en', { numeric: true }) < 0

function checkNode({ node }: Machine): Finding {
  const text = `${node.version}, Node-API ${node.napi}`
  if (Number.parseInt(node.version, 10) >= OLDEST_NODE) return { state: 'ok', subject: 'node', text }
  return { state: 'problem', subject: 'node', text, fix: `Install Node ${OLDEST_NODE} or newer.` }
}

function checkSystem({ system, cpu, engine }: Machine): Finding {
  const { platform, arch, glibc, kernel } = system
  const text = `${platform} ${arch}, kernel ${kernel}, ${glibc === null ? 'no glibc' : `glibc ${glibc}`}; ${cpu.model}, ${cpu.threads} threads, ${formatBytes(cpu.memory)}`
  const needed = failed(engine) ? undefined : engine.glibc
  if (platform !== 'linux' || arch !== 'x64')
    return { state: 'problem', subject: 'system', text, fix: 'Use Linux on x64, a container or WSL2.' }
  if (glibc === null) {
    const fix = 'LibTorch needs glibc: use an image of Debian, Ubuntu or Red Hat, not of Alpine.'
    return { state: 'problem', subject: 'system', text, fix }
  }
  if (needed !== undefined && isOlder(glibc, needed)) {
    const fix = `The engine needs glibc ${needed}: use a newer system, or build the engine here (npm run setup in the repository).`
    return { state: 'problem', subject: 'system', text, fix }
  }
  return { state: 'ok', subject: 'system', text }
}

function checkEngine({ engine, opened }: Machine): Finding {
  if (failed(engine)) return problem('engine', engine.error)
  const text = `${engine.path}, for LibTorch ${engine.torch}`
  if (opened === null) return { state: 'note', subject: 'engine', text: `${text}; not tried, as there is none` }
  if (failed(opened)) return problem('engine', opened.error)
  return { state: 'ok', subject: 'engine', text: `${text}; opens, ${opened.cpuCapability}` }
}

function checkLibtorch({ libtorch, engine }: Machine): Finding[] {
  if (failed(engine)) return []
  if (failed(libtorch)) return [problem('libtorch', libtorch.error)]
  const { version, cuda, folder } = libtorch
  const flavour = cuda === null ? 'for the CPU' : `for CUDA ${cuda}`
  return [{ state: 'ok', subject: 'libtorch', text: `${version}, ${flavour}, in ${folder}` }]
}

export function describeDtypes(dtypes: DtypeSupport): string {
  const slow = Object.entries(dtypes).filter(([, speed]) => speed === 'slow')
  const fast = Object.entries(dtypes).filter(([, speed]) => speed === 'fast')
  const names = (list: typeof slow) => list.map(([name]) => name).join(', ')
  return `${names(fast)}${slow.length > 0 ? ` (slow: ${names(slow)})` : ''}`
}

export function describeGpu({ name, memory, capability, dtypes }: Gpu): string {
  return `${name}, ${formatBytes(memory)}, compute capability ${capability}, ${describeDtypes(dtypes)}`
}

function checkGpu({ gpu, libtorch, opened }: Machine): Finding[] {
  const findings: Finding[] = gpu.devices.map((device) => ({ state: 'ok', subject: 'gpu', text: describeGpu(device) }))
  if (gpu.cuda !== null) {
    const driver = gpu.driver === null ? '' : `driver ${gpu.driver}, `
    findings.unshift({ state: 'ok', subject: 'driver', text: `${driver}serves CUDA ${gpu.cuda}` })
  }
  if (opened !== null && !failed(opened) && opened.cuda) return [...findings, ...checkKernels(opened)] // it is used: whatever the rules say
  const why = obstacle({ driver: gpu.cuda, devices: gpu.devices })
  if (why !== undefined) {
    const fix =
      gpu.cuda === null
        ? 'For a GPU install the NVIDIA driver (525 or newer); in a container run it with --gpus all.'
        : 'Install a newer NVIDIA driver (525 or newer, nvidia-smi must list the GPU), or use the CPU.'
    findings.push({ state: 'note', subject: 'gpu', text: `${why}: the CPU is used`, fix })
  } else if (!failed(libtorch) && libtorch.cuda === null) {
    const fix = `Run ${INSTALL_COMMAND} --flavour cu126.`
    findings.push({ state: 'note', subject: 'gpu', text: 'not used: this LibTorch is for the CPU', fix })
  } else if (opened !== null && !failed(opened)) {
    const fix = 'Run nvidia-smi: it must list the GPU. CUDA_VISIBLE_DEVICES must not hide it.'
    findings.push({ state: 'problem', subject: 'gpu', text: 'LibTorch is for CUDA but sees no GPU', fix })
  }
  return findings
}

function checkKernels({ kernels }: OpenedEngine): Finding[] {
  return Object.entries(kernels).map(([device, why]) => {
    if (why === '')
      return {
        state: 'ok',
        subject: 'kernels',
        text: `${device}: compiled, and they give what LibTorch's operators give`,
      }
    const fix =
      'Everything works without them, slower. They need NVRTC (libnvrtc.so.12 or .13), which comes with a LibTorch for CUDA; SAM3_NVRTC names another one.'
    return { state: 'note', subject: 'kernels', text: `${device}: LibTorch's operators alone: ${why}`, fix }
  })
}

function checkDtypes({ cpu, opened }: Machine): Finding {
  const onGpu = opened !== null && !failed(opened) && opened.cuda
  const chosen = onGpu || cpu.dtypes.bfloat16 === 'fast' ? 'bfloat16' : 'float32'
  const text = `the CPU has ${describeDtypes(cpu.dtypes)}; dtype 'auto' is ${chosen}`
  return { state: 'ok', subject: 'dtype', text }
}

export function judgeMachine(machine: Machine): Finding[] {
  return [
    checkNode(machine),
    checkSystem(machine),
    checkEngine(machine),
    ...checkLibtorch(machine),
    ...checkGpu(machine),
    checkDtypes(machine),
  ]
}
