/** What is asked of a video as code: start a session, say what to follow, take frames as they come. */
import { inScript, inShell } from './code.js'

/**
 * @param {readonly object[]} prompts bodies of requests
 * @param {{ address: string, name: string, hasToken: boolean }} about `address`: of the sessions; `name`: of the video's file
 */
export function asCurlOfVideo(prompts, { address, name, hasToken }) {
  const token = hasToken ? ' -H "Authorization: Bearer $SAM3_TOKEN"' : ''
  const json = `${token} -H 'Content-Type: application/json'`
  return [
    `sessions=${inShell(address)}`,
    `id=$(curl -s${token} -F history=full -F ${inShell(`video=@"${name.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`)} "$sessions" |`,
    `  sed 's/.*"id":"\\([^"]*\\)".*/\\1/')`,
    ...prompts.map((body) => `curl -s${json} -d ${inShell(JSON.stringify(body))} "$sessions/$id/prompts"; echo`),
    `curl -sN${json} -d '{}' "$sessions/$id/propagate"`,
    `curl -s${token} -X DELETE "$sessions/$id"`,
  ].join('\n')
}

/**
 * @param {readonly object[]} prompts bodies of requests
 * @param {{ address: string, name: string, hasToken: boolean }} about as for curl
 */
export function asTypeScriptOfVideo(prompts, { address, name, hasToken }) {
  return [
    "import { openAsBlob } from 'node:fs'",
    "import { createInterface } from 'node:readline'",
    "import { Readable } from 'node:stream'",
    '',
    `const sessions = ${inScript(address)}`,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: of the code that is made
    `const headers = ${hasToken ? '{ authorization: `Bearer ${process.env.SAM3_TOKEN}` }' : '{}'}`,
    'async function post(path, body, more = {}) {',
    "  const answer = await fetch(sessions + path, { method: 'POST', body, headers: { ...headers, ...more } })",
    '  if (!answer.ok) throw new Error((await answer.json()).detail)',
    '  return answer',
    '}',
    "const json = { 'content-type': 'application/json' }",
    '',
    'const form = new FormData()',
    "form.append('history', 'full')",
    `form.append('video', await openAsBlob(${inScript(name)}), 'video')`,
    "const { id } = await (await post('', form)).json()",
    // biome-ignore-start lint/suspicious/noTemplateCurlyInString: of the code that is made
    ...prompts.map((body) => `await post(\`/\${id}/prompts\`, ${inScript(JSON.stringify(body))}, json)`),
    "const { body } = await post(`/${id}/propagate`, '{}', json)",
    'for await (const line of createInterface({ input: Readable.fromWeb(body) })) {',
    '  const { frameIndex, objects } = JSON.parse(line)',
    '  for (const { id, prompt, score, box } of objects ?? []) console.log(frameIndex, id, prompt, score, box)',
    '}',
    "await fetch(`${sessions}/${id}`, { method: 'DELETE', headers })",
    // biome-ignore-end lint/suspicious/noTemplateCurlyInString: of the code that is made
  ].join('\n')
}
