// The page: signing in, the header, the views by the address's fragment, the keyboard.

import { Failure, ask, token } from './api.js';
import { nameOf, platform } from './change.js';
import { cut, el, fill, untrusted } from './dom.js';
import { group } from './group.js';
import { now } from './now.js';
import { DAY, address, button, reason } from './parts.js';
import { quarantine } from './quarantine.js';
import { say, startTexts, switchLanguage, t } from './texts.js';

const THEME = 'group-ledger.theme';
const VIEWS = { now, group, quarantine };
let view = { stop: new AbortController() };
/** The view Now, as it was left: who comes back finds the same place. */
let left = null;

/** Shows what the address names. */
function show() {
  view.stop.abort();
  if (!token.get()) return signIn('');
  const { hash } = location;
  const [path, query] = hash.replace(/^#\/?/u, '').split('?');
  const [word, ...rest] = path.split('/').map(decode);
  const name = Object.hasOwn(VIEWS, word) ? word : 'now';
  const stop = new AbortController();
  if (view.name === 'now' && name !== 'now' && view.main?.isConnected) left = { ...view, top: window.scrollY };
  if (name === 'now' && left?.hash === hash) {
    view = { ...left, stop };
    fill(document.body, skip(), header(name), view.main, footer(), help());
    window.scrollTo({ top: left.top });
    left = null;
    return view.resume(stop.signal);
  }
  // Where only parameters change, what is shown stays until the new is there.
  const same = view.name === name && (name !== 'group' || view.rest === rest.join('/')) && view.main?.isConnected;
  const main = same ? view.main : el('main', { id: 'content', class: name, tabindex: -1 });
  if (!same) {
    fill(document.body, skip(), header(name), main, footer(), help());
    window.scrollTo({ top: 0 });
    document.title = `${t(name === 'quarantine' ? 'quarantine' : name === 'group' ? 'history' : 'now')} · Group Ledger`;
  }
  view = { name, rest: rest.join('/'), hash, main, stop };
  view.resume = VIEWS[name](main, {
    path: view.rest,
    parameters: Object.fromEntries(new URLSearchParams(query)),
    signal: stop.signal,
    go,
    onFailure,
  });
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function go(fragment) {
  location.hash = fragment;
}

/** Whether a failure ends the view: the token is not, or no longer, valid. */
function onFailure(failure) {
  if (!(failure instanceof Failure)) throw failure;
  if (failure.status !== 401) return false;
  view.stop.abort();
  [view, left] = [{ stop: view.stop }, null];
  token.forget();
  signIn('sign_in.expired');
  return true;
}

function skip() {
  return el(
    'a',
    {
      class: 'skip',
      href: '#content',
      onclick: (event) => {
        event.preventDefault();
        document.getElementById('content')?.focus();
      },
    },
    t('skip'),
  );
}

function header(name) {
  const link = (key, fragment) => el('a', { href: fragment, 'aria-current': (name || 'now') === key ? 'page' : false }, t(key));
  return el(
    'header',
    { class: 'bar' },
    el('a', { class: 'brand', href: address('now') }, 'Group Ledger'),
    search(),
    el('nav', { 'aria-label': 'Group Ledger' }, link('now', address('now')), link('quarantine', address('quarantine'))),
    el(
      'div',
      { class: 'switches' },
      switches(),
      button(
        t('sign_out'),
        () => {
          token.forget();
          history.replaceState(null, '', '#');
          again();
        },
        { class: 'quiet' },
      ),
    ),
  );
}

/** Shows all of it anew. */
function again() {
  view.stop.abort();
  [view, left] = [{ stop: view.stop }, null];
  show();
}

function switches() {
  const change = () => {
    switchLanguage();
    again();
    document.querySelector('[data-control=language]').focus();
  };
  return [
    button(t('language.other'), change, {
      class: 'quiet',
      'data-control': 'language',
      title: t('language.switch'),
      lang: t('language.other') === '中文' ? 'zh-CN' : 'en',
    }),
    button(
      '◐',
      () => {
        const { dataset } = document.documentElement;
        const dark = dataset.theme ? dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
        dataset.theme = dark ? 'light' : 'dark';
        sessionStorage.setItem(THEME, dataset.theme);
      },
      { class: 'quiet', title: t('theme.switch'), 'aria-label': t('theme.switch') },
    ),
  ];
}

/** Opens a group by its key, or by its id in one of the apps whose callbacks are received; else shows what is like it. */
function search() {
  const input = el('input', {
    type: 'search',
    name: 'group',
    placeholder: t('search'),
    'aria-label': t('search'),
    autocomplete: 'off',
    spellcheck: 'false',
  });
  const answer = el('div', { class: 'found', role: 'status' });
  const link = ({ group_key: key, group_id: id, platform: of, app_id: app }) =>
    el(
      'a',
      { href: address('group', [key]) },
      nameOf(key) && [untrusted(cut(nameOf(key), 60)), ' '],
      untrusted(cut(id, 80), { class: 'id' }),
      ' ',
      el('span', { class: 'none' }, platform(of), ' ', untrusted(app)),
    );
  const submit = async (event) => {
    event.preventDefault();
    const wanted = input.value.trim();
    if (wanted === '') return;
    fill(answer, el('p', {}, t('search.busy')));
    try {
      const found = await find(wanted);
      if (found.length === 1) return go(address('group', [found[0].group_key]));
      const like = found.length > 0 ? found : await resembling(wanted);
      const title =
        found.length > 0
          ? t('search.several')
          : like.length > 0
            ? t('search.like')
            : say('search.none', { id: untrusted(cut(wanted, 80), { class: 'id' }) });
      fill(answer, el('p', {}, title), like.slice(0, 8).map(link));
    } catch (failure) {
      if (!onFailure(failure)) fill(answer, el('p', { role: 'alert' }, reason(failure)));
    }
  };
  const leave = (event) => {
    if (!event.currentTarget.contains(event.relatedTarget)) setTimeout(() => fill(answer), 200);
  };
  return el(
    'form',
    { class: 'search', role: 'search', onsubmit: submit, onfocusout: leave },
    input,
    el('kbd', { 'aria-hidden': 'true' }, '/'),
    answer,
  );
}

/** The newest change of each group that the text names. */
async function find(wanted) {
  const { apps } = await ask('apps', []);
  const ids = (of) => (of === 'tencent-chat' && !wanted.startsWith('@TGS#') ? [wanted, `@TGS#${wanted}`] : [wanted]);
  const groups = apps.flatMap(({ platform: of, app_id: app }) =>
    ids(of).map((id) => [
      ['platform', of],
      ['app_id', app],
      ['group_id', id],
    ]),
  );
  if (apps.some(({ platform: of }) => wanted.startsWith(`${of}#`)) && wanted.split('#').length > 2)
    groups.unshift([['group_key', wanted]]);
  const pages = await Promise.all(groups.map((named) => ask('history', [...named, ['order', 'desc'], ['limit', 1]])));
  return pages.flatMap(({ changes }) => changes);
}

/** The groups among the newest 1,000 changes whose id or known name has the text in it. */
async function resembling(wanted) {
  const { changes } = await ask('feed', [
    ['order', 'desc'],
    ['limit', 1_000],
    ['from', new Date(Date.now() - 7 * DAY).toISOString()],
  ]);
  const groups = new Map(changes.filter(({ group_id: id }) => id !== '').map((change) => [change.group_key, change]));
  const has = (text) => text?.toLowerCase().includes(wanted.toLowerCase());
  return [...groups.values()].filter(({ group_key: key, group_id: id }) => has(id) || has(nameOf(key)));
}

function signIn(message) {
  const input = el('input', {
    type: 'password',
    id: 'token',
    name: 'token',
    autocomplete: 'off',
    required: true,
    spellcheck: false,
    'aria-describedby': 'problem',
  });
  const problem = el('p', { id: 'problem', class: 'problem', role: 'alert' }, message && t(message));
  const submit = el('button', { class: 'main' }, t('sign_in'));
  const form = el(
    'form',
    {
      onsubmit: async (event) => {
        event.preventDefault();
        const given = input.value.trim();
        if (given === '') return input.focus();
        submit.disabled = true;
        fill(submit, t('sign_in.busy'));
        token.set(given);
        try {
          await ask('apps', []);
          return show();
        } catch (failure) {
          token.forget();
          fill(
            problem,
            failure.status === 401 ? t('sign_in.wrong') : failure instanceof Failure ? reason(failure) : t('sign_in.wrong'),
          );
        }
        submit.disabled = false;
        fill(submit, t('sign_in'));
        input.focus();
      },
    },
    el('label', { for: 'token' }, t('sign_in.token')),
    input,
    submit,
    problem,
  );
  document.title = `${t('sign_in')} · Group Ledger`;
  fill(
    document.body,
    el('header', { class: 'bar' }, el('span', { class: 'brand' }, 'Group Ledger'), el('div', { class: 'switches' }, switches())),
    el(
      'main',
      { class: 'sign-in' },
      el('h1', {}, t('sign_in')),
      el('p', {}, t('sign_in.intro')),
      form,
      el('p', { class: 'none' }, t('sign_in.where')),
    ),
  );
  input.focus();
}

const KEYS = [
  ['/', 'search'],
  ['j k', 'down_up'],
  ['Enter', 'open'],
  ['o', 'group'],
  ['[ ]', 'time'],
  ['Esc', 'back'],
  ['?', 'help'],
];

function help() {
  return el(
    'dialog',
    { id: 'keys', 'aria-labelledby': 'keys-title' },
    el('h2', { id: 'keys-title' }, t('keys')),
    el(
      'dl',
      {},
      KEYS.map(([key, name]) => [
        el(
          'dt',
          {},
          key.split(' ').map((one) => el('kbd', {}, one)),
        ),
        el('dd', {}, t(`key.${name}`)),
      ]),
    ),
    el('form', { method: 'dialog' }, el('button', { class: 'main' }, t('close'))),
  );
}

function footer() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return el('footer', { class: 'none' }, say('footer.zone', { zone }), ' ', say('footer.keys', { key: el('kbd', {}, '?') }));
}

/** The keys of the page; where something is typed in, they are letters. */
function press(event) {
  const typing = event.target.matches('input:not([type=radio]), select, textarea');
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  if (event.key === 'Escape') return back(typing, event.target);
  if (typing) return;
  const row = event.target.closest('li');
  const actions = {
    '/': () => document.querySelector('input[type=search]')?.focus(),
    '?': () => document.getElementById('keys')?.showModal(),
    j: () => move(1),
    k: () => move(-1),
    o: () => row?.querySelector('a.group')?.click(),
    '[': () => document.querySelector('[data-control=earlier]')?.click(),
    ']': () => document.querySelector('[data-control=later]')?.click(),
  };
  if (!Object.hasOwn(actions, event.key)) return;
  event.preventDefault();
  actions[event.key]();
}

function move(by) {
  const rows = [...document.querySelectorAll('.changes > li > details > summary')];
  const current = rows.findIndex((row) => row.parentNode.parentNode.contains(document.activeElement));
  const target = rows[Math.max(0, current === -1 ? 0 : current + by)];
  target?.focus();
  target?.scrollIntoView({ block: 'nearest' });
}

/** Closes what is open around the focus, or leaves the group. */
function back(typing, target) {
  if (typing) return target.blur();
  const disclosure = target.closest('details[open]');
  if (disclosure) {
    disclosure.open = false;
    return disclosure.querySelector('summary').focus();
  }
  if (location.hash.startsWith('#/group/')) {
    if (history.length > 1) history.back();
    else go(address('now'));
  }
}

history.scrollRestoration = 'manual';
startTexts();
if (sessionStorage.getItem(THEME)) document.documentElement.dataset.theme = sessionStorage.getItem(THEME);
window.addEventListener('hashchange', show);
document.addEventListener('keydown', press);
show();
