import fc, { type Arbitrary } from 'fast-check';
import { nasty, valuesOf, type Overrides, type Schema } from './schema-values.ts';

interface Operation {
  parameters?: { name: string; in: string; required?: boolean; schema?: Schema }[];
  requestBody?: { content?: Record<string, { schema?: Schema }> };
}

export interface OpenApi {
  paths: Record<string, Record<string, Operation>>;
  components?: { schemas?: Record<string, Schema> };
}

export interface FuzzRequest {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string | null;
}

export type Ids = Readonly<Record<string, readonly string[]>>;

export interface Route {
  name: string;
  /** `ids` are of things that are there, by parameter; `*` of all others. */
  requests: (ids: Ids) => Arbitrary<FuzzRequest>;
}

const methods = ['get', 'put', 'post', 'patch', 'delete'];

/** Every operation of the document, with requests made from its schemas. */
export function routesOf(document: OpenApi, overrides: Overrides): Route[] {
  return Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations)
      .filter(([method]) => methods.includes(method))
      .map(([method, operation]) => ({
        name: `${method.toUpperCase()} ${path}`,
        requests: (ids) => requestsOf(method.toUpperCase(), path, operation, document, ids, overrides),
      })),
  );
}

function requestsOf(
  method: string,
  template: string,
  { parameters = [], requestBody }: Operation,
  document: OpenApi,
  ids: Ids,
  overrides: Overrides,
): Arbitrary<FuzzRequest> {
  const inPath = [...template.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
  const pathValues = fc.record(Object.fromEntries(inPath.map((name) => [name, segment(ids[name] ?? ids['*'] ?? ['x'])])));
  const query = parameters.filter((parameter) => parameter.in === 'query');
  const queryValues = fc.record(
    Object.fromEntries(
      query.map(({ name, schema = {} }) => [name, overrides[name] ?? valuesOf(schema, document, overrides)]),
    ),
    { requiredKeys: query.filter(({ required }) => required).map(({ name }) => name) },
  );
  const [type = 'application/json', content] = Object.entries(requestBody?.content ?? {})[0] ?? [];
  const schema = content?.schema;
  const body: Arbitrary<string | null> =
    method === 'GET'
      ? fc.constant(null)
      : fc.oneof(
          { weight: 10, arbitrary: schema === undefined ? fc.constant(null) : valuesOf(schema, document, overrides).map(toJson) },
          { weight: 1, arbitrary: fc.constantFrom('', '{', '[]', 'null', '"x"', '{"a":1}}', '\ufeff{}', '{"a":'.repeat(5000)) },
          { weight: 1, arbitrary: nasty.map(toJson) },
        );
  const headers = fc.oneof(
    { weight: 8, arbitrary: fc.constant<Record<string, string>>({ 'content-type': type }) },
    {
      weight: 1,
      arbitrary: fc.constantFrom<Record<string, string>>(
        { 'content-type': 'text/plain' },
        { 'content-type': 'application/json; charset=utf-16' },
        { 'content-type': 'multipart/form-data' },
        { 'content-type': type, 'idempotency-key': 'k'.repeat(5000) },
        { 'content-type': type, 'idempotency-key': 'same' },
        { 'content-type': type, range: 'bytes=-1' },
        { 'content-type': type, accept: 'text/html', 'last-event-id': '-1' },
        { 'content-type': type, 'content-length': 'x' },
      ),
    },
  );
  return fc.record({ pathValues, queryValues, headers, body }).map((made) => ({
    method,
    path: template.replace(/\{(\w+)\}/g, (_, name: string) => made.pathValues[name]!) + search(made.queryValues),
    headers: made.headers,
    body: made.body,
  }));
}

/** Mostly one that is there; else whatever can be written into an address. */
function segment(known: readonly string[]): Arbitrary<string> {
  return fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...known) },
    { weight: 1, arbitrary: fc.constantFrom('%00', '%2e%2e%2f', '%ff', 'ses_01arz3ndektsv4rrffq69g5fav', 'x'.repeat(3000), '__proto__', '%F0%9F%98%80') },
    { weight: 1, arbitrary: fc.string({ minLength: 1, maxLength: 20 }).map((text) => encodeURIComponent(text.toWellFormed())) },
  );
}

function search(values: Record<string, unknown>): string {
  const pairs = Object.entries(values)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${encodeURIComponent((typeof value === 'string' ? value : toJson(value)).toWellFormed())}`);
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`;
}

function toJson(value: unknown): string {
  return JSON.stringify(value) ?? 'null';
}
