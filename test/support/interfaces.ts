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

/** The members of an exported interface or type of an object, those that it inherits included. `file`: from the root. */
export function membersOf(file: string, type: string): Member[] {
  const path = join(repositoryRoot, file)
  const options = { strict: true, module: ts.ModuleKind.NodeNext, skipLibCheck: true, types: ['node'] }
  const program = programs.get(path) ?? ts.createProgram([path], options)
  programs.set(path, program)
  const checker = program.getTypeChecker()
  const module = checker.getSymbolAtLocation(program.getSourceFile(path)!)
  const symbol = module && checker.getExportsOfModule(module).find(({ name }) => name === type)
  if (!symbol) throw new Error(`${file} exports no ${type}`)
  return checker.getPropertiesOfType(checker.getDeclaredTypeOfSymbol(symbol)).map((member) => ({
    name: member.name,
    isOptional: (member.flags & ts.SymbolFlags.Optional) !== 0,
    isMethod: (member.flags & ts.SymbolFlags.Method) !== 0,
    documentation: ts.displayPartsToString(member.getDocumentationComment(checker)),
  }))
}
