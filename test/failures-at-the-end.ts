import type { Reporter, TestModule } from 'vitest/node';

const longest = 300;

/** Says once more what failed and what needed a second try, a line each, after everything else: of a long log often only the end is kept. */
export class FailuresAtTheEnd implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    tell('Needed a second try', modules.flatMap(flakyOf));
    tell('Failed', modules.flatMap(failuresOf));
  }
}

function tell(title: string, lines: readonly string[]): void {
  if (lines.length > 0) process.stdout.write(`\n${title}:\n${lines.map((line) => `- ${line}\n`).join('')}`);
}

function flakyOf(module: TestModule): string[] {
  const flaky = [...module.children.allTests('passed')].filter((test) => test.diagnostic()?.flaky === true);
  return flaky.map((test) => lineOf(module, test.fullName, test.result().errors ?? []));
}

function failuresOf(module: TestModule): string[] {
  const lines = module.errors().length === 0 ? [] : [lineOf(module, '(the file)', module.errors())];
  for (const suite of module.children.allSuites()) {
    if (suite.errors().length > 0) lines.push(lineOf(module, suite.fullName, suite.errors()));
  }
  for (const test of module.children.allTests('failed')) {
    lines.push(lineOf(module, test.fullName, test.result().errors ?? []));
  }
  return lines;
}

/** Of a test that was tried twice, what each try came to. */
function lineOf(module: TestModule, name: string, errors: readonly { message: string }[]): string {
  const told = new Set(errors.map(({ message }) => message.split('\n')[0]!.slice(0, longest)));
  return `${module.relativeModuleId} > ${name}: ${[...told].join(' | ')}`;
}
