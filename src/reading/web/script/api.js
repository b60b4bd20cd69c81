// The ledger's API, with the reader's token.

const TOKEN = 'group-ledger.token';
const BASE = new URL('ledger/v1/', location.href);
// What JavaScript's numbers would change: many digits, fractions, exponents.
const DELICATE = /[[:,]\s*-?\d+(?:\.\d|[eE]|\d{15})|[[:,]\s*-0/u;

/** What went wrong: `status` 0 where there was no answer. */
export class Failure extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** The token lives as long as the tab, and in no address. */
export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (value) => sessionStorage.setItem(TOKEN, value),
  forget: () => sessionStorage.removeItem(TOKEN),
};

/** Asks a route; `parameters` are pairs, of which those without a value are left out. */
export async function ask(route, parameters, signal) {
  return parse(await (await request(route, parameters, signal)).text());
}

/** Asks a route for its answer as it is. */
export async function request(route, parameters, signal) {
  const url = new URL(route, BASE);
  for (const [name, value] of parameters)
    if (value !== null && value !== undefined && value !== '') url.searchParams.append(name, value);
  return fetched(url, signal);
}

/** Asks for what a `Link` header names. */
export function follow(link, signal) {
  return fetched(new URL(link, BASE), signal);
}

async function fetched(url, signal) {
  let response;
  try {
    response = await fetch(url, { headers: { Authorization: `Bearer ${token.get() ?? ''}` }, cache: 'no-store', signal });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Failure(0, error.message);
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Failure(response.status, problem.detail ?? response.statusText);
}

/** JSON in which numbers keep their digits: one that JavaScript would change becomes a text. */
export function parse(text) {
  if (!DELICATE.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_, value, context) => {
    const digits = context?.source;
    return typeof value === 'number' && digits !== undefined && String(value) !== digits ? digits : value;
  });
}
