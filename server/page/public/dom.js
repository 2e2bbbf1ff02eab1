/** Parts of the document: found by their ids, or made. */

/**
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function part(id, type) {
  const found = document.getElementById(id)
  if (found instanceof type) return found
  throw new Error(`The page has no ${type.name} with the id ${id}.`)
}

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Partial<HTMLElementTagNameMap[T]>} properties
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties)
  element.append(...children)
  return element
}

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @returns {SVGElement}
 */
export function makeSvg(tag, attributes) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value))
  return element
}

/**
 * A group of radio buttons that look like one switch.
 * @param {HTMLElement} group
 * @param {string} name
 * @param {readonly { id: string, label: string, sign?: string }[]} choices
 */
export function fillSegments(group, name, choices) {
  const labels = choices.map(({ id, label, sign }, index) => {
    const input = make('input', { type: 'radio', name, value: id, checked: index === 0 })
    const text = make('span', {}, label)
    if (sign) text.prepend(make('b', { className: sign === '+' ? 'plus' : sign === '−' ? 'minus' : '' }, sign))
    return make('label', {}, input, text)
  })
  group.replaceChildren(...labels)
}
