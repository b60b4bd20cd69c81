// Quarantine: what was genuine and not understood, by day.

import { ask } from './api.js';
import { body, platform } from './change.js';
import { el, fill, id, untrusted } from './dom.js';
import { furtherBy } from './list.js';
import { DAY, address, button, copier, failed, loading, notice } from './parts.js';
import { say, t, when } from './texts.js';

const REPROCESS = 'group-ledger reprocess';

/** Shows a day of quarantine; `day` is as YYYY-MM-DD, in UTC. */
export function quarantine(main, day, signal, go, onFailure) {
  const to = (offset) => address('quarantine', [new Date(Date.parse(day) + offset * DAY).toISOString().slice(0, 10)]);
  const list = el('ol', { class: 'changes' });
  const more = button(t('quarantine.more'), () => {}, { class: 'more' });
  const content = el('div', { class: 'content' }, loading());
  const input = el('input', { type: 'date', value: day, 'aria-label': t('quarantine.day'), onchange: () => input.value && go(address('quarantine', [input.value])) });
  fill(main, el('div', { class: 'filters' }, el('h1', {}, t('quarantine')),
    el('a', { class: 'step', href: to(-1), 'aria-label': t('quarantine.earlier'), title: t('quarantine.earlier') }, '‹'), input,
    el('a', { class: 'step', href: to(1), 'aria-label': t('quarantine.later'), title: t('quarantine.later') }, '›')),
  el('p', { class: 'intro' }, t('quarantine.intro'), ' ', el('code', {}, REPROCESS), ' ', copier(REPROCESS)), content);

  let cursor = null;
  async function page() {
    const answer = await ask('quarantine', [['day', day], ['limit', 50], ['cursor', cursor]], signal);
    cursor = answer.next;
    list.append(...answer.quarantined.map(entry));
    return answer.more;
  }

  async function load() {
    try {
      let further = await page();
      while (further && list.childElementCount === 0) further = await page();
      if (list.childElementCount === 0) return fill(content, notice(t('quarantine.empty')));
      more.hidden = !further;
      fill(content, list, more);
      furtherBy(more, () => page().catch((failure) => !signal.aborted && !onFailure(failure)), signal);
    } catch (failure) {
      if (signal.aborted || onFailure(failure)) return;
      fill(content, failed(failure, () => { fill(content, loading()); load(); }));
    }
  }
  load();
}

function entry(callback) {
  const details = el('div', { class: 'details' });
  const disclosure = el('details', { class: 'change', ontoggle: async () => {
    if (disclosure.open && details.childNodes.length === 0) {
      fill(details, el('section', {}, el('h3', {}, t('details.body')), await body(callback)), el('dl', {},
        el('dt', {}, t('details.change_key')), el('dd', {}, el('code', {}, callback.change_key)),
        callback.request_id && [el('dt', {}, t('details.request_id')), el('dd', {}, el('code', {}, callback.request_id))]));
    }
  } },
  el('summary', {}, when(callback.received_at, 'time'), el('span', { class: 'what' },
    el('span', { class: 'sentence' }, callback.command ? id(callback.command, 64) : t('quarantine.no_command')),
    el('span', { class: 'beneath' }, say('quarantine.reason', { reason: untrusted(callback.reason), code: callback.code })))), details);
  return el('li', {}, disclosure, el('span', { class: 'where' }, el('span', {}, id(callback.app_id)), el('span', { class: 'platform' }, platform(callback.platform))));
}
