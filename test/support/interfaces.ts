/** What the interfaces of lib/ say, as the TypeScript compiler reads them. */
import { join } from 'node:path'
import ts from 'typescript'
import { repositoryRoot } from './paths.js'

/** One property or method. */
export interface Member {
  name: string
  isOptional: boolean
  isMethod: boolean
  documentation: string
}

const programs = new Map<string, ts.Program>()

function exportsOf(file: string): { checker: ts.TypeChecker; symbols: ts.Symbol[] } {
  const path = join(repositoryRoot, file)
  const options = { strict: true, module: ts.ModuleKind.NodeNext, skipLibCheck: true, types: ['node'] }
  const program = programs.get(path) ?? ts.createProgram([path], options)
  programs.set(path, program)
  const checker = program.getTypeChecker()
  const module = checker.getSymbolAtLocation(program.getSourceFile(path)!)
  const symbols = module ? checker.getExportsOfModule(module) : []
  const isAlias = ({ flags }: ts.Symbol) => (flags & ts.SymbolFlags.Alias) !== 0
  return { checker, symbols: symbols.map((symbol) => (isAlias(symbol) ? checker.getAliasedSymbol(symbol) : symbol)) }
}

/** The names of the exported interfaces. `file`: from the root. */
export function interfacesOf(file: string): string[] {
  const { symbols } = exportsOf(file)
  return symbols.filter(({ flags }) => (flags & ts.SymbolFlags.Interface) !== 0).map(({ name }) => name)
}

/** The members of an exported interface, those that it inherits included. `file`: from the root. */
export function membersOf(file: string, type: string): Member[] {
  const { checker, symbols } = exportsOf(file)
  const symbol = symbols.find(({ name }) => name === type)
  if (!symbol) throw new Error(`${file} exports no ${type}`)
  return checker.getPropertiesOfType(checker.getDeclaredTypeOfSymbol(symbol)).map((member) => ({
    name: member.name,
    isOptional: (member.flags & ts.SymbolFlags.Optional) !== 0,
    isMethod: (member.flags & ts.SymbolFlags.Method) !== 0,
    documentation: ts.displayPartsToString(member.getDocumentationComment(checker)),
  }))
}
