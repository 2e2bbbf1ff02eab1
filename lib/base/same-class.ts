/**
 * One program may hold this library more than once: as an ES module and as CommonJS, or in two versions of which one
 * came with a dependency. `instanceof` then has to recognise the objects of the other copies too.
 */

/** Also one whose constructor is private. */
type Class = { readonly prototype: object }

/** The `instanceof` of the language: by the chain of prototypes. */
const byPrototype = Function.prototype[Symbol.hasInstance]

/**
 * Lets `value instanceof type` be true for objects of a class of that name in any copy. Classes that a user derives from
 * it keep the ordinary `instanceof`.
 */
export function recogniseInAllCopies(type: Class, name: string): void {
  const mark = Symbol.for(`sam3-node:${name}`)
  Object.defineProperty(type.prototype, mark, { value: true })
  Object.defineProperty(type, Symbol.hasInstance, {
    value(this: unknown, value: unknown): boolean {
      if (this !== type) return byPrototype.call(this as CallableFunction, value)
      return typeof value === 'object' && value !== null && mark in value
    },
  })
}
