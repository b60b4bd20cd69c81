// The ledger's API, with the reader's token.

const TOKEN = 'group-ledger.token';
const BASE = new URL('ledger/v1/', location.href);
// What JavaScript's numbers would change: many digits, fractions, exponents.
const DELICATE = /[[:,]\s*-?\d+(?:\.\d|[eE]|\d{15})|[[:,]\s*-0/u;

/** What went wrong: the status, 0 where there was no whole answer; and the parameter that is wrong, where one is. */
export class Failure extends Error {
  constructor(status, detail, parameter) {
    super(detail);
    this.status = status;
    this.parameter = parameter;
  }
}

/** The token lives as long as the tab, and in no address. */
export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (value) => sessionStorage.setItem(TOKEN, value),
  forget: () => sessionStorage.removeItem(TOKEN),
};

/** What is done where the token is not, or no longer, valid. */
let rejected = () => {};
export function onRejected(action) {
  rejected = action;
}

/** Asks a route; of the parameters, a list is repeated, and what has no value is left out. */
export async function ask(route, parameters, signal) {
  return parse(await textOf(await request(route, parameters, signal)));
}

/** Asks a route for its answer as it is. */
export async function request(route, parameters, signal) {
  const url = new URL(route, BASE);
  for (const [name, values] of Object.entries(parameters)) {
    for (const value of [values].flat()) {
      if (value !== null && value !== undefined && value !== '') url.searchParams.append(name, value);
    }
  }
  return fetched(url, token.get(), signal);
}

/** The next page of an answer, which its `Link` header names; null at the end. */
export function next(route, response, signal) {
  const query = /^<[^>?]*(\?[^>]*)>; rel="next"; more/u.exec(response.headers.get('Link') ?? '')?.[1];
  return query ? fetched(new URL(route + query, BASE), token.get(), signal) : null;
}

/** Fails where a token is not valid. A header has room for printable ASCII only, so that nothing else is one. */
export async function check(given) {
  if (!/^[\x21-\x7e]+$/u.test(given)) throw new Failure(401, '');
  await fetched(new URL('apps', BASE), given);
}

/** The text of an answer. */
export async function textOf(response) {
  return whole(() => response.text());
}

async function fetched(url, given, signal) {
  const headers = { Authorization: `Bearer ${given ?? ''}` };
  const response = await whole(() => fetch(url, { headers, cache: 'no-store', signal }));
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  if (response.status === 401 && given === token.get()) rejected();
  const detail = problem?.detail ?? problem?.message ?? `HTTP ${response.status}`;
  throw new Failure(response.status, detail, problem?.parameter);
}

/** What came whole; a connection may end at any time. */
async function whole(receive) {
  try {
    return await receive();
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Failure(0, error.message);
  }
}

/** JSON in which numbers keep their digits: one that JavaScript would change becomes a text, where the browser tells its source. */
export function parse(text) {
  try {
    if (!DELICATE.test(text)) return JSON.parse(text);
    return JSON.parse(text, (_, value, context) => {
      const digits = context?.source;
      return typeof value === 'number' && digits !== undefined && String(value) !== digits ? digits : value;
    });
  } catch (error) {
    // Such as the page of a network that asks to sign in first.
    throw new Failure(0, error.message);
  }
}
