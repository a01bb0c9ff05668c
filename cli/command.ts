import type { Command } from 'commander'
import { addSettings, valuesOf } from './options.ts'
import type { Changes } from './options.ts'
import type { SettingName, Values } from './settings.ts'

/** 0: done, nothing found. 1: findings, or it failed. 2 is wrong usage and comes from main.ts. */
export type ExitCode = 0 | 1

/** One command of the command line. */
export interface CommandSpec {
  name: string
  /** Such as `[file]`. */
  argument?: string
  argumentHelp?: string
  /** One more argument, where there is a first one. */
  second?: string
  secondHelp?: string
  summary: string
  /** Lines below the help: what to type, and what happens. */
  examples: readonly string[]
  settings: readonly SettingName[]
  changes?: Changes
  run(
    values: Values, argument: string | undefined, second: string | undefined,
  ): Promise<ExitCode> | ExitCode
}

const EVERYWHERE: readonly SettingName[] = ['output', 'config']

/** Adds the command to its parent; `done` is told how it ended. */
export function addCommand(
  parent: Command, spec: CommandSpec, done: (code: ExitCode) => void,
): Command {
  const names = [...spec.settings, ...EVERYWHERE]
  const command = parent.command(spec.name).summary(spec.summary).description(spec.summary)
  if (spec.argument) command.argument(spec.argument, spec.argumentHelp)
  if (spec.second) command.argument(spec.second, spec.secondHelp)
  addSettings(command, names, spec.changes)
  const examples = spec.examples.map((line) => `\n  ${line}`).join('')
  command.addHelpText('after', `\nExamples:${examples}`)
  command.action(async (...parts: unknown[]) => {
    const argument = spec.argument ? parts[0] as string | undefined : undefined
    const second = spec.second ? parts[1] as string | undefined : undefined
    done(await spec.run(valuesOf(command, names), argument, second))
  })
  return command
}
