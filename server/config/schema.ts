/** Every option of the service, once: flags, environment, file, `serve --help` and `--print-config` come from here. */
import Type, { type Static } from 'typebox'
import { JOB_OPTIONS } from './jobs.js'

/** What an option says of itself besides its type. */
interface About {
  /** Shown by `serve --help`. */
  description: string
  /** Under which heading. */
  group: string
  /** Never shown, and no flag: who can list processes could read it. */
  secret?: true
}

const whole = (about: About, fallback: number, minimum = 1) =>
  Type.Integer({ ...about, default: fallback, minimum, maximum: Number.MAX_SAFE_INTEGER })
const flag = (about: About, fallback: boolean) => Type.Boolean({ ...about, default: fallback })
const optionalText = (about: About) => Type.Optional(Type.String({ ...about, minLength: 1 }))

const [LISTEN, MODEL, QUEUE, LIMITS, ACCESS, RUN] = ['Listening', 'Model', 'Queue', 'Limits', 'Access', 'Operation']

export const ServeSchema = Type.Object(
  {
    host: Type.String({ description: 'address to listen at', group: LISTEN, default: '127.0.0.1', minLength: 1 }),
    port: Type.Integer({
      description: 'port to listen at; 0 takes a free one',
      group: LISTEN,
      default: 8080,
      minimum: 0,
      maximum: 65535,
    }),

    model: optionalText({
      description:
        "a model folder, a checkpoint file, a repository or 'demo' (default: facebook/sam3, downloaded once)",
      group: MODEL,
    }),
    device: Type.String({
      description: 'auto, cpu, cuda or cuda:N',
      group: MODEL,
      default: 'auto',
      pattern: '^(auto|cpu|cuda(:\\d+)?)$',
    }),
    devices: Type.Optional(
      Type.Array(Type.String({ pattern: '^(auto|cpu|cuda(:\\d+)?)$' }), {
        description:
          'several devices with a model on each, separated by commas: cuda:0,cuda:1 (default: the one of device)',
        group: MODEL,
        minItems: 1,
      }),
    ),
    dtype: Type.Union(
      [Type.Literal('auto'), Type.Literal('float32'), Type.Literal('bfloat16'), Type.Literal('float16')],
      { description: 'number type: auto, float32, bfloat16 or float16', group: MODEL, default: 'auto' },
    ),
    inputSize: Type.Optional(
      Type.Integer({
        description: "side of the network's input (default: that of the model)",
        group: MODEL,
        minimum: 1,
      }),
    ),
    threads: Type.Optional(
      Type.Integer({ description: 'CPU threads (default: all cores but one)', group: MODEL, minimum: 1 }),
    ),
    libtorch: optionalText({ description: 'folder of LibTorch (default: found by itself)', group: MODEL }),
    warmup: flag({ description: 'run each kind of request once before the service is ready', group: MODEL }, true),

    maxBatchSize: whole({ description: 'most images in one step of the network', group: QUEUE }, 8),
    maxQueueDelayMs: whole(
      { description: 'wait this long for a batch to fill; 0 takes what waits', group: QUEUE },
      0,
      0,
    ),
    maxQueueSize: whole({ description: 'requests that may wait; further ones get 429', group: QUEUE }, 256),
    timeoutMs: whole({ description: 'a request that takes longer is stopped, and gets 504', group: QUEUE }, 60_000),
    deviceTimeoutMs: Type.Optional(
      Type.Integer({
        description:
          'a device that has work and says nothing for so long is taken out; 0: never (default: 30000 for a GPU, never for a CPU)',
        group: QUEUE,
        minimum: 0,
      }),
    ),

    maxPayloadBytes: whole({ description: 'bytes of a request', group: LIMITS }, 64 * 2 ** 20),
    maxPixels: whole({ description: 'pixels of an image', group: LIMITS }, 100_000_000),
    maxImages: whole({ description: 'images in a request', group: LIMITS }, 32),
    maxSessions: whole({ description: 'video sessions that are open at a time', group: LIMITS }, 8, 0),
    sessionIdleMs: whole(
      { description: 'a video session that is not used for so long is closed', group: LIMITS },
      300_000,
    ),
    sessionMemoryBytes: whole(
      { description: 'bytes of host memory for the history of a video session', group: LIMITS },
      2 ** 31,
    ),
    maxVideoBytes: whole({ description: 'bytes of a video', group: LIMITS }, 2 ** 30),
    maxFrames: whole({ description: 'frames of a video', group: LIMITS }, 50_000),
    imageCacheBytes: whole(
      { description: 'bytes on the device for images that clients keep (POST /v1/images)', group: LIMITS },
      2 ** 30,
      0,
    ),
    maxPrompts: whole({ description: 'prompts for an image', group: LIMITS }, 64),

    ...JOB_OPTIONS,

    page: flag({ description: 'serve the page at GET /', group: RUN }, true),
    dialects: Type.Array(Type.Union([Type.Literal('samgeo'), Type.Literal('roboflow')]), {
      description: 'other services whose clients are understood, separated by commas: samgeo, roboflow',
      group: RUN,
      default: [],
    }),
    logLevel: Type.Union(
      ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'].map((level) => Type.Literal(level)),
      { description: 'trace, debug, info, warn, error, fatal or silent', group: RUN, default: 'info' },
    ),
    shutdownTimeoutMs: whole(
      { description: 'at SIGTERM, running requests have this long to end', group: RUN },
      30_000,
      0,
    ),
    tokens: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        description: 'bearer tokens that are let in, separated by commas (default: everyone is)',
        group: ACCESS,
        secret: true,
      }),
    ),
    allowedHosts: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        description:
          'without tokens: names in the Host header that are answered, separated by commas, besides those of this machine ' +
          '(default: on a loopback address none, else any)',
        group: ACCESS,
      }),
    ),
    urlHosts: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        description:
          'hosts that images may be fetched from, separated by commas: example.com, *.example.com, example.com:8443, ' +
          '* for any public one (default: none)',
        group: ACCESS,
      }),
    ),
    urlTimeoutMs: whole({ description: 'an image that is fetched has this long to arrive', group: ACCESS }, 10_000),
    rateLimit: whole({ description: 'requests that a client may send in a minute; 0 for any', group: ACCESS }, 0, 0),
    trustProxy: flag(
      {
        description: 'take the address of a client from X-Forwarded-For: only behind a proxy that sets it',
        group: ACCESS,
      },
      false,
    ),
    tokenFile: optionalText({ description: 'file with one bearer token in each line', group: ACCESS }),
  },
  { additionalProperties: false },
)

/** The options of the service, each with its value. `npx sam3-node serve --help` says what each is: `--max-queue-size` there is `maxQueueSize` here. */
export type ServeConfig = Static<typeof ServeSchema>
/** Options as a caller gives them: those of {@link ServeConfig}; what is left out has its default. */
export type ServeOptions = Partial<ServeConfig>
export type OptionName = keyof ServeConfig

/** What `serve --help` and the readers of text need to know of an option. */
export interface OptionAbout extends About {
  name: OptionName
  type: 'string' | 'number' | 'boolean' | 'list'
  default?: unknown
}

const kinds: Readonly<Record<string, OptionAbout['type']>> = {
  integer: 'number',
  number: 'number',
  boolean: 'boolean',
  array: 'list',
}

/** The options in the order of the help. */
export const OPTIONS: readonly OptionAbout[] = Object.entries(
  ServeSchema.properties as unknown as Record<string, About & { type?: string; default?: unknown }>,
).map(([name, { description, group, secret, type = 'string', default: fallback }]) => ({
  name: name as OptionName,
  description,
  group,
  ...(secret && { secret }),
  type: kinds[type] ?? 'string',
  default: fallback,
}))

const words = (name: string) => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`).split(' ')

/** `maxBatchSize` on the command line and in a file: `max-batch-size`. */
export const flagName = (name: OptionName): string => words(name).join('-')

/** `maxBatchSize` in the environment: `SAM3_SERVE_MAX_BATCH_SIZE`. */
export const variableName = (name: OptionName): string => `SAM3_SERVE_${words(name).join('_').toUpperCase()}`
