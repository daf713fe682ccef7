import fc, { type Arbitrary } from 'fast-check';

/** The part of JSON Schema that the OpenAPI document uses. */
export interface Schema {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  items?: Schema;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  format?: string;
}

/** Values that fit no schema, or only just: what parsers, databases and shells stumble over. */
export const nasty: Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown[]>(
    ...[null, true, '', ' ', '\0', 'a\0b', '\ud800', '\uffff', '\u202e', '../../etc/passwd', '/', '%', '%00', '%zz', '${x}', "'; drop table sessions; --"],
    ...['__proto__', 'constructor', 'toString', 'ses_', 'null', 'NaN', 'x'.repeat(70_000), '-1', '1e999', '9007199254740993', '2026-13-45T99:99:99Z'],
    ...[-1, 0, 1, -0, 1e308, Number.MAX_SAFE_INTEGER, 2 ** 53 + 2, 1.5, [], {}, [[]], { __proto__: null, a: 1 }, JSON.parse('{"__proto__":{"x":1}}')],
  ),
  fc.constant(0).map(() => nested(400)),
  fc.json().map((text) => JSON.parse(text) as unknown),
  fc.string({ unit: 'binary', maxLength: 40 }),
);

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level += 1) value = [value];
  return value;
}

/** What a property is given whatever its schema says, so that no test reaches beyond this machine. */
export type Overrides = Readonly<Record<string, Arbitrary<unknown>>>;

/** Values of the schema, here and there with one in them that is not. */
export function valuesOf(schema: Schema, root: { components?: { schemas?: Record<string, Schema> } }, overrides: Overrides): Arbitrary<unknown> {
  const make = (part: Schema, depth: number): Arbitrary<unknown> => {
    if (depth > 6) return fc.constant(null);
    return fc.oneof({ weight: 12, arbitrary: fitting(part, depth) }, { weight: 1, arbitrary: nasty });
  };

  function fitting(part: Schema, depth: number): Arbitrary<unknown> {
    if (part.$ref !== undefined) {
      const target = root.components?.schemas?.[part.$ref.split('/').at(-1)!];
      return target === undefined ? fc.anything() : make(target, depth + 1);
    }
    if (part.const !== undefined) return fc.constant(part.const);
    if (part.enum !== undefined) return fc.constantFrom(...part.enum);
    const choices = part.anyOf ?? part.oneOf;
    if (choices !== undefined) return fc.oneof(...choices.map((choice) => make(choice, depth + 1)));
    if (part.allOf !== undefined) return make(part.allOf[0] ?? {}, depth + 1);
    const types = Array.isArray(part.type) ? part.type : [part.type ?? (part.properties === undefined ? 'string' : 'object')];
    return fc.oneof(...types.map((type) => ofType(type, part, depth)));
  }

  function ofType(type: string, part: Schema, depth: number): Arbitrary<unknown> {
    switch (type) {
      case 'null':
        return fc.constant(null);
      case 'boolean':
        return fc.boolean();
      case 'integer':
        return fc.integer({ min: Math.max(part.minimum ?? -10, -(2 ** 31)), max: Math.min(part.maximum ?? 2 ** 31 - 1, 2 ** 31 - 1) });
      case 'number':
        return fc.double({ min: part.minimum ?? -10, max: part.maximum ?? 1e6, noNaN: true });
      case 'array':
        return fc.array(make(part.items ?? {}, depth + 1), { minLength: Math.min(part.minItems ?? 0, 4), maxLength: Math.min(part.maxItems ?? 4, 4) });
      case 'object':
        return ofObject(part, depth);
      default:
        if (part.format === 'date-time') return fc.constantFrom('2026-01-01T00:00:00Z', '2026-01-01T00:00:00.000+02:00');
        if (part.format === 'email') return fc.constantFrom('a@example.org');
        return fc.string({ minLength: Math.min(part.minLength ?? 0, 20), maxLength: Math.min(part.maxLength ?? 30, 30) });
    }
  }

  function ofObject({ properties = {}, required = [], additionalProperties }: Schema, depth: number): Arbitrary<unknown> {
    const entries = Object.entries(properties).map(([name, each]) => [name, overrides[name] ?? make(each, depth + 1)] as const);
    const known = fc.record(Object.fromEntries(entries), { requiredKeys: required.filter((name) => name in properties) });
    const rest = typeof additionalProperties === 'object' ? make(additionalProperties, depth + 1) : nasty;
    const more = typeof additionalProperties === 'object' ? 3 : 0;
    return fc.oneof(
      { weight: 8, arbitrary: fc.tuple(known, fc.dictionary(fc.string({ maxLength: 10 }), rest, { maxKeys: more })).map(([a, b]) => ({ ...b, ...a })) },
      { weight: 1, arbitrary: fc.tuple(known, fc.dictionary(fc.string({ maxLength: 10 }), rest, { maxKeys: 2 })).map(([a, b]) => ({ ...a, ...b })) },
    );
  }

  return make(schema, 0);
}
