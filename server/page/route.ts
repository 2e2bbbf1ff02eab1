/** `GET /`: the page in which a person tries the service, and the files that it is made of. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fastifyStatic from '@fastify/static'
import type { FastifyReply } from 'fastify'
import { packageRoot } from '../../lib/base/package-root.js'
import type { Route, Service } from '../http/service.js'

/** Nothing but what this service serves. A picture that is opened is drawn, not loaded; a video has to be loaded, from the page itself. */
const POLICY = [
  "default-src 'none'",
  ...['connect', 'img', 'script', 'style'].map((kind) => `${kind}-src 'self'`),
  'media-src blob:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

const HEADERS = {
  'content-security-policy': POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

/** The page has no secrets, and asks for the token itself. */
const OPEN = { config: { open: true }, schema: { hide: true } }

/** What the page is told of the model. */
interface About {
  /** The small model of drawings that comes with the package. */
  isDemo: boolean
  /** The usual name of each thing that it knows; absent where the model knows most of what has a name. */
  words?: string[]
}

export const pageRoute: Route = (app, { config }) => {
  if (!config.page) return
  const [folder, examples] = [join(packageRoot(), 'server', 'page', 'public'), join(packageRoot(), 'examples')]
  app.register(async (scope) => {
    await scope.register(fastifyStatic, { root: folder, serve: false })
    const send = (reply: FastifyReply, name: string, from = folder) =>
      reply.headers(HEADERS).header('cache-control', 'no-cache').sendFile(name, from, { cacheControl: false })
    scope.get('/', OPEN, (_request, reply) => send(reply, 'index.html'))
    for (const name of readdirSync(folder).filter((file) => file !== 'index.html'))
      scope.get(`/page/${name}`, OPEN, (_request, reply) => send(reply, name))
    scope.get('/page/example.jpg', OPEN, (_request, reply) => send(reply, 'scene.jpg', examples))
    scope.get('/page/example.webm', OPEN, (_request, reply) => send(reply, 'clip.webm', examples))
    const about = aboutModel(config)
    scope.get('/page/about.json', OPEN, () => about)
  })
}

function aboutModel({ model }: Service['config']): About {
  if (model !== 'demo') return { isDemo: false }
  const list = join(packageRoot(), 'models', 'demo', 'words.json')
  const { words } = JSON.parse(readFileSync(list, 'utf8')) as { words: string[][] }
  return { isDemo: true, words: words.map(([name = '']) => name) }
}
