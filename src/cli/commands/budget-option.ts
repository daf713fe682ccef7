import { InvalidArgumentError } from 'commander';
import { parseBudgetLimits, type BudgetLimits } from '../../protocol/budget.ts';

/** `usd=5,tokens=2m,turns=20,minutes=90`. */
export function budgetLimits(value: string): BudgetLimits {
  try {
    return parseBudgetLimits(value);
  } catch {
    throw new InvalidArgumentError('expected of usd, tokens, turns and minutes, each =number, with commas: usd=5,tokens=2m,turns=20.');
  }
}
