// Gaps: what a history proves to be missing.

import { el } from './dom.js';
import { user } from './sentences.js';
import { has, say, t, when } from './texts.js';

/** The gaps of a state, each with a link to the change that proves it. */
export function gapList(state, { here }) {
  if (state.gaps.length === 0) return null;
  const total = Object.values(state.gap_counts).reduce((sum, count) => sum + count, 0);
  return el(
    'section',
    { class: 'gaps' },
    el('h2', {}, mark(), t('gaps', { count: total })),
    el(
      'ol',
      {},
      state.gaps.map((gap) =>
        el(
          'li',
          {},
          el('a', { href: here({ change: gap.change_key, kind: '', by: '' }) }, when(gap.occurred_at, 'minute')),
          ' ',
          gapText(gap),
        ),
      ),
    ),
    total > state.gaps.length && el('p', { class: 'none' }, t('gaps.counted', { count: state.gaps.length })),
  );
}

/** Puts the gaps before a change beneath it: a history runs back. They stay beneath its line when it opens. */
export function markGaps(node, gaps = []) {
  const marks = gaps.map((gap) => {
    const key = has(`gap.${gap.kind}`) ? `gap.${gap.kind}` : 'gap.other';
    return el(
      'div',
      { class: 'gap' },
      el('p', {}, mark(), el('strong', {}, t('gap.here'))),
      el('p', {}, gapText(gap)),
      el(
        'details',
        {},
        el('summary', {}, t('gap.what')),
        el('p', {}, say(`${key}.means`, { found: user(String(gap.found ?? '')) })),
      ),
    );
  });
  const disclosure = node.querySelector('details');
  disclosure.addEventListener('toggle', () => (disclosure.open ? disclosure.firstChild.after(...marks) : node.append(...marks)));
  node.append(...marks);
}

/** The sign of a gap. */
function mark() {
  return el('span', { class: 'mark', 'aria-hidden': 'true' }, '⚠ ');
}

function gapText(gap) {
  const key = has(`gap.${gap.kind}`) ? `gap.${gap.kind}` : 'gap.other';
  const value = (name) => (gap[name] === undefined ? say('empty') : user(String(gap[name])));
  return say(key, { expected: value('expected'), found: value('found') });
}
