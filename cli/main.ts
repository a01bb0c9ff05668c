/** The command line: finds the command, and turns what happens into an exit code. */
import { Command, CommanderError } from 'commander'
import { addCommand } from './command.ts'
import type { CommandSpec } from './command.ts'
import { exitCodeOf, isExpected } from './errors.ts'
import { onReaderGone, say } from './output.ts'
import { printable } from './text/printable.ts'
import { version } from './version.ts'

/** Each command is loaded when it is called: gRPC and the addon take longer than a policy check. */
const COMMANDS: Record<string, () => Promise<{ spec: CommandSpec, children?: CommandSpec[] }>> = {
  up: () => import('./up.ts'),
  agent: () => import('./agent.ts'),
  correlator: () => import('./correlator.ts'),
  doctor: () => import('./doctor.ts'),
  events: () => import('./events.ts'),
  incidents: () => import('./incidents.ts'),
  replay: () => import('./replay.ts'),
  policy: () => import('./policy.ts'),
  gpu: () => import('./gpu.ts'),
  stores: () => import('./stores.ts'),
  baseline: () => import('./baseline.ts'),
  verify: () => import('./verify.ts'),
  drill: () => import('./drill.ts'),
}

const HELP_COLUMNS_MAX = 100

/** Runs one command line without the program's name; gives its exit code and never throws. */
export async function main(words: readonly string[]): Promise<number> {
  onReaderGone(() => process.exit(0))
  let exitCode = 0
  try {
    const program = await programFor(words, (code) => { exitCode = code })
    await program.parseAsync([...words], { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    if (!isExpected(error)) {
      say('vedette: this is a defect of Vedette; please report it with what follows.')
      say(error instanceof Error ? error.stack ?? error.message : String(error))
      return 1
    }
    const [first, ...rest] = error.message.split('\n')
    say([`vedette: ${printable(first)}`, ...rest.map(printable)].join('\n'))
    return exitCodeOf(error)
  }
}

async function programFor(
  words: readonly string[], done: (code: 0 | 1) => void,
): Promise<Command> {
  const program = new Command('vedette')
    .description('Runtime security monitoring for GPU clusters.')
    .version(version, '-V, --version')
    .showHelpAfterError('(add --help for more)')
    .exitOverride()
    // Else `incidents` would take the --data of `incidents show ID --data DIR`.
    .enablePositionalOptions()
    .configureOutput({
      getOutHelpWidth: () => Math.min(HELP_COLUMNS_MAX, process.stdout.columns ?? HELP_COLUMNS_MAX),
      getErrHelpWidth: () => Math.min(HELP_COLUMNS_MAX, process.stderr.columns ?? HELP_COLUMNS_MAX),
    })
    .addHelpText('after', '\nExit status: 0 done, 1 findings or failure, 2 wrong usage.\n' +
      'Settings: flags before VEDETTE_* variables before the file of --config before defaults.')
  const called = words.find((word) => !word.startsWith('-')) ?? ''
  const wanted = called !== 'help' && called in COMMANDS ? [called] : Object.keys(COMMANDS)
  for (const name of wanted) {
    const { spec, children } = await COMMANDS[name]()
    const command = addCommand(program, spec, done)
    for (const child of children ?? []) addCommand(command, child, done)
  }
  return program
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)))
