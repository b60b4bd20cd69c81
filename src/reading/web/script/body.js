// The body of a callback: as it was sent, or indented.

import { el, fill } from './dom.js';
import { copier, longText, save } from './parts.js';
import { t } from './texts.js';

/** The most characters that are shown at once. */
const SHOWN = 20_000;
/** The deepest nesting that is indented: what is deeper is not for people. */
const DEEPEST = 200;

/** Shows the body of an API's answer. */
export async function body({ raw, raw_base64: base64, raw_gzip_base64: gzip }) {
  if ((raw ?? base64 ?? gzip) === undefined) return el('p', { class: 'none' }, t('details.no_body'));
  const bytes = raw === undefined ? await bytesOf(base64, gzip) : raw;
  const text = typeof bytes === 'string' ? bytes : decoded(bytes);
  const json = text !== null && indented(text);
  const pre = el('pre', { tabindex: 0, 'aria-label': t('details.body') });
  const put = (form) => fill(pre, longText(form, SHOWN));
  const name = `body-${Math.random().toString(36).slice(2)}`;
  const form = (key, value, checked) => {
    const radio = el('input', { type: 'radio', name, checked, onchange: () => put(value) });
    return el('label', {}, radio, t(key));
  };
  put(json || (text ?? base64));
  const download = () => save([bytes], 'callback.json', 'application/json');
  return [
    text === null && el('p', { class: 'none' }, t('details.base64')),
    el(
      'div',
      { class: 'tools' },
      json && [form('details.indented', json, true), form('details.as_sent', text)],
      copier(text ?? base64),
      el('button', { type: 'button', class: 'quiet', onclick: download }, t('details.download')),
    ),
    pre,
  ];
}

async function bytesOf(base64, gzip) {
  const bytes = Uint8Array.from(atob(base64 ?? gzip), (character) => character.charCodeAt(0));
  if (base64 !== undefined) return bytes;
  const unzipped = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(unzipped).arrayBuffer());
}

/** Bytes as text; null where they are none. */
function decoded(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** JSON with line breaks and indents between its tokens, which stay as they are: no digit is lost. Null where it is no JSON, or too deep. */
export function indented(json) {
  try {
    JSON.parse(json);
  } catch {
    return null;
  }
  if (depthOf(json) > DEEPEST) return null;
  let depth = 0;
  const line = () => `\n${'  '.repeat(depth)}`;
  const tokens = json.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gu) ?? [];
  return tokens
    .map((token, index) => {
      if (token === '{' || token === '[') {
        if (['}', ']'].includes(tokens[index + 1])) return token;
        depth += 1;
        return token + line();
      }
      if (token === '}' || token === ']') {
        if (['{', '['].includes(tokens[index - 1])) return token;
        depth -= 1;
        return line() + token;
      }
      if (token === ',') return token + line();
      return token === ':' ? ': ' : token;
    })
    .join('');
}

/** How deep its brackets nest; those in texts count, which only errs to the safe side. */
function depthOf(json) {
  let [depth, deepest] = [0, 0];
  for (const character of json) {
    if (character === '{' || character === '[') deepest = Math.max(deepest, (depth += 1));
    else if (character === '}' || character === ']') depth -= 1;
  }
  return deepest;
}
