// The header's field: opens a group.

import { ask } from './api.js';
import { cut, el, fill, untrusted } from './dom.js';
import { nameOf } from './names.js';
import { DAY, address, reason } from './parts.js';
import { platform } from './sentences.js';
import { say, t } from './texts.js';

/** Opens a group by its key, or by its id in one of the apps whose callbacks are received; else shows what is like it. */
export function search(signal, go) {
  const input = el('input', {
    type: 'search',
    name: 'group',
    placeholder: t('search'),
    'aria-label': t('search'),
    autocomplete: 'off',
    spellcheck: 'false',
  });
  const answer = el('div', { class: 'found', role: 'status' });
  let latest = new AbortController();
  const submit = async (event) => {
    event.preventDefault();
    const wanted = input.value.trim();
    if (wanted === '') return;
    latest.abort();
    latest = new AbortController();
    const ended = AbortSignal.any([signal, latest.signal]);
    fill(answer, el('p', {}, t('search.busy')));
    try {
      const found = await find(wanted, ended);
      if (found.length === 1) return go(address('group', [found[0].group_key]));
      const like = found.length > 0 ? found : await resembling(wanted, ended);
      const none = () => say('search.none', { id: untrusted(cut(wanted, 80), { class: 'id' }) });
      const title = found.length > 0 ? t('search.several') : like.length > 0 ? t('search.like') : none();
      fill(answer, el('p', {}, title), like.slice(0, 8).map(link));
    } catch (failure) {
      if (!ended.aborted) fill(answer, el('p', { role: 'alert' }, reason(failure)));
    }
  };
  const leave = (event) => {
    if (!event.currentTarget.contains(event.relatedTarget)) setTimeout(() => fill(answer), 200);
  };
  const key = el('kbd', { 'aria-hidden': 'true' }, '/');
  return el('form', { class: 'search', role: 'search', onsubmit: submit, onfocusout: leave }, input, key, answer);
}

function link({ group_key: key, group_id: id, platform: of, app_id: app }) {
  const name = nameOf(key);
  const where = el('span', { class: 'none' }, platform(of), ' ', untrusted(app));
  return el(
    'a',
    { href: address('group', [key]) },
    name && [untrusted(cut(name, 60)), ' '],
    untrusted(cut(id, 80), { class: 'id' }),
    ' ',
    where,
  );
}

/** The newest change of each group that the text names. */
async function find(wanted, signal) {
  const { apps } = await ask('apps', {}, signal);
  const ids = (of) => (of === 'tencent-chat' && !wanted.startsWith('@TGS#') ? [wanted, `@TGS#${wanted}`] : [wanted]);
  const groups = apps.flatMap(({ platform: of, app_id: app }) =>
    ids(of).map((id) => ({ platform: of, app_id: app, group_id: id })),
  );
  const isKey = wanted.split('#').length > 2 && apps.some(({ platform: of }) => wanted.startsWith(`${of}#`));
  if (isKey) groups.unshift({ group_key: wanted });
  const pages = await Promise.all(groups.map((group) => ask('history', { ...group, order: 'desc', limit: 1 }, signal)));
  return pages.flatMap(({ changes }) => changes);
}

/** The groups among the newest 1,000 changes of a week whose id has the text in it, or whose name, where it is known. */
async function resembling(wanted, signal) {
  const from = new Date(Date.now() - 7 * DAY).toISOString();
  const { changes } = await ask('feed', { order: 'desc', limit: 1_000, from }, signal);
  const groups = new Map(changes.filter(({ group_id: id }) => id !== '').map((change) => [change.group_key, change]));
  const has = (text) => text?.toLowerCase().includes(wanted.toLowerCase());
  return [...groups.values()].filter(({ group_key: key, group_id: id }) => has(id) || has(nameOf(key)));
}
