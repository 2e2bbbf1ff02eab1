/** Unicode scripts of characters, by their ISO 15924 codes. */

/** The scripts that Unicode and this Node.js know; the frequent ones first, because they are tried in turn. */
const CODES =
  `Latn Hani Hira Kana Hang Cyrl Arab Deva Grek Hebr Thai Beng Taml Telu Gujr Guru Knda Mlym Orya Sinh Mymr Khmr
Laoo Tibt Geor Armn Ethi Mong Thaa Cher Syrc Nkoo Tfng Cans Bopo Yiii Java Bali Sund Adlm Aghb Ahom Armi Avst Bamu Bass
Batk Bhks Brah Brai Bugi Buhd Cakm Cari Cham Chrs Copt Cpmn Cprt Diak Dogr Dsrt Dupl Egyp Elba Elym Glag Gong Gonm Goth
Gran Hano Hatr Hluw Hmng Hmnp Hung Ital Kali Kawi Khar Khoj Kits Kthi Lana Lepc Limb Lina Linb Lisu Lyci Lydi Mahj Maka
Mand Mani Marc Medf Mend Merc Mero Modi Mroo Mtei Mult Nagm Nand Narb Nbat Newa Nshu Ogam Olck Orkh Osge Osma Ougr Palm
Pauc Perm Phag Phli Phlp Phnx Plrd Prti Rjng Rohg Runr Samr Sarb Saur Sgnw Shaw Shrd Sidd Sind Sogd Sogo Sora Soyo Sylo
Tagb Takr Tale Talu Tang Tavt Tglg Tirh Tnsa Toto Ugar Vaii Vith Wara Wcho Xpeo Xsux Yezi Zanb`.split(/\s+/)

const SCRIPTS = CODES.map((code) => ({ code, pattern: new RegExp(`^\\p{Script=${code}}`, 'u') }))
const known = new Map<string, string | undefined>()

/** The script of a character; undefined for those that go with any, such as digits and emoji. */
export function scriptOf(character: string): string | undefined {
  if (!known.has(character)) {
    // Texts have few different characters; what has thousands is not worth remembering.
    if (known.size > 20_000) known.clear()
    known.set(character, SCRIPTS.find(({ pattern }) => pattern.test(character))?.code)
  }
  return known.get(character)
}

const names = new Intl.DisplayNames(['en'], { type: 'script' })

/** Its name in English: `Tibetan`. */
export function scriptName(code: string): string {
  return names.of(code) ?? code
}
