// `picket completion bash|zsh|fish`: the command tree -> a script for the shell.
//
// The script is complete in itself: the shell never starts picket to ask.
// **Invariant:** commands, options and choices come from the same tree that parses the command line.
import { Argument, Command } from 'commander'
import { buildProgram } from './program.ts'
import { print } from './output.ts'

interface OptionWords {
  /** `-o`, `--output` */
  readonly flags: readonly string[]
  readonly takesValue: boolean
  /** Empty: any value. */
  readonly choices: readonly string[]
  readonly help: string
}

/** One command of the tree: `picket lab up`. */
interface Stop {
  readonly path: string
  readonly commands: readonly { readonly name: string; readonly help: string }[]
  readonly options: readonly OptionWords[]
  /** Choices of the command's own arguments. */
  readonly choices: readonly string[]
}

/** Every command of the tree, parents first. */
export function stopsOf(command: Command, path: string = command.name()): readonly Stop[] {
  const visible = command.createHelp()
  const stop: Stop = {
    path,
    commands: visible.visibleCommands(command).map((one) => ({ name: one.name(), help: one.description() })),
    options: visible.visibleOptions(command).map((option) => ({
      flags: [option.short, option.long].filter((flag) => flag !== undefined && flag !== null),
      takesValue: option.required,
      choices: option.argChoices ?? /^--\S+ <(\w+(?:\|\w+)+)>$/.exec(option.flags)?.[1]?.split('|') ?? [],
      help: option.description,
    })),
    choices: command.registeredArguments.flatMap((argument) => argument.argChoices ?? []),
  }
  return [stop, ...command.commands.flatMap((child) => stopsOf(child, `${path} ${child.name()}`))]
}

function wordsOf(stop: Stop): string[] {
  return [...stop.commands.map((one) => one.name), ...stop.choices, ...stop.options.flatMap((option) => option.flags)]
}

/** The names that a shell leaves free for our variables, and how it says "the words so far". */
interface Dialect {
  /** The path of commands that the words lead to. */
  readonly path: string
  /** What may come next. */
  readonly next: string
  readonly wordBefore: string
  readonly wordsBefore: string
}

const BASH: Dialect = {
  path: 'path',
  next: 'next',
  wordBefore: '${COMP_WORDS[COMP_CWORD-1]}',
  wordsBefore: '"${COMP_WORDS[@]:1:COMP_CWORD-1}"',
}
// In zsh `path` is $PATH.
const ZSH: Dialect = { path: 'place', next: 'next', wordBefore: '${words[CURRENT-1]}', wordsBefore: '"${words[@]:1:CURRENT-2}"' }

/** The part that bash and zsh share: sets `next` to what may come next, and `free` to 1 where any value may. */
function body(stops: readonly Stop[], { path, next, wordBefore, wordsBefore }: Dialect): string {
  const known = stops.filter((stop) => stop.path.includes(' ')).map((stop) => `'${stop.path}'`)
  const values = stops.flatMap((stop) =>
    stop.options
      .filter((option) => option.takesValue)
      .map((option) => {
        const pattern = option.flags.map((flag) => `'${stop.path}:${flag}'`).join('|')
        return `    ${pattern}) ${next}='${option.choices.join(' ')}'; free=${option.choices.length === 0 ? 1 : 0} ;;`
      }),
  )
  return `  local ${path}=picket word ${next}='' free=0
  for word in ${wordsBefore}; do
    case "$${path} $word" in ${known.join('|')}) ${path}="$${path} $word" ;; esac
  done
  case "$${path}" in
${stops.map((stop) => `    '${stop.path}') ${next}='${wordsOf(stop).join(' ')}' ;;`).join('\n')}
  esac
  case "$${path}:${wordBefore}" in
${values.join('\n')}
  esac`
}

export function bashScript(stops: readonly Stop[]): string {
  return `# bash completion for picket: source <(picket completion bash)
_picket() {
${body(stops, BASH)}
  COMPREPLY=()
  [ "$free" = 1 ] || COMPREPLY=($(compgen -W "$next" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _picket picket`
}

export function zshScript(stops: readonly Stop[]): string {
  return `#compdef picket
# zsh completion for picket: source <(picket completion zsh)
_picket() {
${body(stops, ZSH)}
  if [ "$free" = 1 ]; then _files; else compadd -- \${=next}; fi
}
compdef _picket picket`
}

const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`

export function fishScript(stops: readonly Stop[]): string {
  const known = stops.map((stop) => quoted(stop.path)).join(' ')
  const lines = stops.flatMap((stop) => {
    const rule = `complete -c picket -n ${quoted(`__picket_at "${stop.path}"`)}`
    return [
      ...stop.commands.map((one) => `${rule} -f -a ${one.name} -d ${quoted(one.help)}`),
      ...(stop.choices.length > 0 ? [`${rule} -f -a ${quoted(stop.choices.join(' '))}`] : []),
      ...stop.options.map((option) => {
        const names = option.flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`)).join(' ')
        const value = !option.takesValue ? '' : option.choices.length > 0 ? ` -x -a ${quoted(option.choices.join(' '))}` : ' -r'
        return `${rule} ${names}${value} -d ${quoted(option.help)}`
      }),
    ]
  })
  return `# fish completion for picket: picket completion fish | source
function __picket_at
  set -l place picket
  for word in (commandline -opc)[2..-1]
    contains -- "$place $word" ${known}; and set place "$place $word"
  end
  test "$place" = "$argv[1]"
end
${lines.join('\n')}`
}

const SCRIPTS: Readonly<Record<string, (stops: readonly Stop[]) => string>> = { bash: bashScript, zsh: zshScript, fish: fishScript }

export function command(): Command {
  return new Command('completion')
    .description('print the completion script for a shell')
    .addArgument(new Argument('<shell>', 'which shell').choices(Object.keys(SCRIPTS)))
    .addHelpText('after', '\nUse it: source <(picket completion bash)')
    .action(async (shell: string) => {
      const script = SCRIPTS[shell]
      if (script !== undefined) print(script(stopsOf(await buildProgram('all'))))
    })
}
