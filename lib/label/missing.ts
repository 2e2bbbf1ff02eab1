/** Says once for each script that there is no font for it. */
import { scriptName } from './script.js'

const told = new Set<string>()

/** @param scripts ISO 15924 codes; `Zyyy` for symbols. */
export function warnOfMissing(scripts: ReadonlySet<string>): void {
  const news = [...scripts].filter((script) => !told.has(script))
  for (const script of news) {
    told.add(script)
    const what = script === 'Zyyy' ? 'some symbols' : `some characters of the script ${scriptName(script)}`
    process.emitWarning(
      `A label has ${what} that no font here has; a replacement character or the number stands for them.`,
      {
        type: 'Sam3Warning',
        code: 'SAM3_LABEL_FONT',
        detail: "Name a font file that has them: { fonts: ['font.ttf'] }, or --font font.ttf on the command line.",
      },
    )
  }
}
