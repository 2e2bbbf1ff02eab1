/** A request as code: what the page sends, so that a person can send it, too. */

/** @typedef {import('./api.js').Request} Request */

/** @param {string} text */
export const inShell = (text) => `'${text.replaceAll("'", "'\\''")}'`
/** @param {string} text */
export const inScript = (text) => `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`

/**
 * @param {Request} request
 * @param {{ address: string, name: string, hasToken: boolean }} about `address`: of the endpoint; `name`: of the picture's file
 */
export function asCurl({ fields }, { address, name, hasToken }) {
  const parts = fields.map(({ name: field, value, file }) =>
    file ? `-F ${inShell(`${field}=<${file}`)}` : `--form-string ${inShell(`${field}=${value}`)}`,
  )
  return [
    `curl ${inShell(address)}`,
    ...(hasToken ? ['-H "Authorization: Bearer $SAM3_TOKEN"'] : []),
    // Quoted within quotes, curl takes any name.
    `-F ${inShell(`image=@"${name.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`)}`,
    ...parts,
  ].join(' \\\n  ')
}

/**
 * @param {Request} request
 * @param {{ address: string, name: string, hasToken: boolean }} about as for curl
 */
export function asTypeScript({ path, fields }, { address, name, hasToken }) {
  const readsMask = fields.some(({ file }) => file)
  const appends = fields.map(
    ({ name: field, value, file }) =>
      `form.append(${inScript(field)}, ${file ? `await readFile(${inScript(file)}, 'utf8')` : inScript(value)})`,
  )
  return [
    "import { openAsBlob } from 'node:fs'",
    ...(readsMask ? ["import { readFile } from 'node:fs/promises'"] : []),
    '',
    'const form = new FormData()',
    `form.append('image', await openAsBlob(${inScript(name)}), 'image')`,
    ...appends,
    '',
    `const answer = await fetch(${inScript(address)}, {`,
    "  method: 'POST',",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: of the code that is made
    ...(hasToken ? ['  headers: { authorization: `Bearer ${process.env.SAM3_TOKEN}` },'] : []),
    '  body: form,',
    '})',
    'const content = await answer.json()',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as above
    'if (!answer.ok) throw new Error(`${content.detail} ${content.fix}`)',
    ...(path === 'v1/segment'
      ? [
          'for (const { text, instances } of content.images[0].results)',
          '  for (const { score, box } of instances) console.log(text, score, box)',
        ]
      : ['for (const { score, box } of content.results[0].masks) console.log(score, box)']),
  ].join('\n')
}
