// The page: signing in, the header, the views by the address's fragment, the keyboard.

import { Failure, ask, token } from './api.js';
import { platform } from './change.js';
import { cut, el, fill, untrusted } from './dom.js';
import { group } from './group.js';
import { now } from './now.js';
import { address, button, reason } from './parts.js';
import { quarantine } from './quarantine.js';
import { say, startTexts, switchLanguage, t } from './texts.js';

const THEME = 'group-ledger.theme';
let view = new AbortController();

/** Shows what the address names. */
function show() {
  view.abort();
  view = new AbortController();
  const { signal } = view;
  if (!token.get()) return signIn('');
  const [path, query] = location.hash.replace(/^#\/?/u, '').split('?');
  const [name, ...rest] = path.split('/').map(decode);
  const parameters = Object.fromEntries(new URLSearchParams(query));
  const main = el('main', { id: 'content', class: name || 'now', tabindex: -1 });
  fill(document.body, skip(), header(name), main, help());
  window.scrollTo({ top: 0 });
  if (name === 'group') group(main, rest.join('/'), parameters, signal, go, onFailure);
  else if (name === 'quarantine') quarantine(main, /^\d{4}-\d\d-\d\d$/u.test(rest[0] ?? '') ? rest[0] : new Date().toISOString().slice(0, 10), signal, go, onFailure);
  else now(main, parameters, signal, go, onFailure);
  document.title = `${t(name === 'quarantine' ? 'quarantine' : name === 'group' ? 'history' : 'now')} · Group Ledger`;
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
  view.abort();
  token.forget();
  signIn('sign_in.expired');
  return true;
}

function skip() {
  return el('a', { class: 'skip', href: '#content', onclick: (event) => { event.preventDefault(); document.getElementById('content')?.focus(); } }, t('skip'));
}

function header(name) {
  const link = (key, fragment) => el('a', { href: fragment, 'aria-current': (name || 'now') === key ? 'page' : false }, t(key));
  return el('header', { class: 'bar' }, el('a', { class: 'brand', href: address('now') }, 'Group Ledger'), search(),
    el('nav', { 'aria-label': 'Group Ledger' }, link('now', address('now')), link('quarantine', address('quarantine'))),
    el('div', { class: 'switches' }, switches(), button(t('sign_out'), () => { token.forget(); location.hash = ''; show(); }, { class: 'quiet' })));
}

function switches() {
  const again = () => (token.get() ? show() : signIn(''));
  return [button(t('language.other'), () => { switchLanguage(); again(); }, { class: 'quiet', title: t('language.switch'), lang: t('language.other') === '中文' ? 'zh-CN' : 'en' }),
    button('◐', () => {
      const { dataset } = document.documentElement;
      const dark = dataset.theme ? dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
      dataset.theme = dark ? 'light' : 'dark';
      sessionStorage.setItem(THEME, dataset.theme);
    }, { class: 'quiet', title: t('theme.switch'), 'aria-label': t('theme.switch') })];
}

/** Opens a group by its key, or by its id in one of the apps whose callbacks are received. */
function search() {
  const input = el('input', { type: 'search', name: 'group', placeholder: t('search'), 'aria-label': t('search'), autocomplete: 'off', spellcheck: false });
  const answer = el('div', { class: 'found', role: 'status' });
  return el('form', { class: 'search', role: 'search', onsubmit: async (event) => {
    event.preventDefault();
    const wanted = input.value.trim();
    if (wanted === '') return;
    fill(answer, el('p', {}, t('search.busy')));
    try {
      const found = await find(wanted);
      if (found.length === 1) return go(address('group', [found[0].group_key]));
      fill(answer, found.length === 0 ? el('p', {}, say('search.none', { id: untrusted(cut(wanted, 80), { class: 'id' }) })) : [el('p', {}, t('search.several')),
        found.map((change) => el('a', { href: address('group', [change.group_key]) }, platform(change.platform), ' ', untrusted(change.app_id)))]);
    } catch (failure) {
      if (!onFailure(failure)) fill(answer, el('p', { role: 'alert' }, reason(failure)));
    }
  }, onfocusout: (event) => { if (!event.currentTarget.contains(event.relatedTarget)) setTimeout(() => fill(answer), 200); } }, input, el('kbd', { 'aria-hidden': 'true' }, '/'), answer);
}

/** The newest change of each group that the text may mean. */
async function find(wanted) {
  const { apps } = await ask('apps', []);
  const ids = (platform) => (platform === 'tencent-chat' && !wanted.startsWith('@TGS#') ? [wanted, `@TGS#${wanted}`] : [wanted]);
  const groups = apps.flatMap(({ platform, app_id: app }) => ids(platform).map((id) => [['platform', platform], ['app_id', app], ['group_id', id]]));
  if (/^[^#]+#[^#]+#./u.test(wanted)) groups.unshift([['group_key', wanted]]);
  const pages = await Promise.all(groups.map((named) => ask('history', [...named, ['order', 'desc'], ['limit', 1]]).catch((failure) => {
    // A text that cannot be a key names no group.
    if (failure.status === 400) return { changes: [] };
    throw failure;
  })));
  return pages.flatMap(({ changes }) => changes);
}

function signIn(message) {
  const input = el('input', { type: 'password', id: 'token', name: 'token', autocomplete: 'off', required: true, spellcheck: false, 'aria-describedby': 'problem' });
  const problem = el('p', { id: 'problem', class: 'problem', role: 'alert' }, message && t(message));
  const submit = el('button', { class: 'main' }, t('sign_in'));
  const form = el('form', { onsubmit: async (event) => {
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
      fill(problem, failure.status === 401 ? t('sign_in.wrong') : failure instanceof Failure ? reason(failure) : t('sign_in.wrong'));
    }
    submit.disabled = false;
    fill(submit, t('sign_in'));
    input.focus();
  } }, el('label', { for: 'token' }, t('sign_in.token')), input, submit, problem);
  document.title = `${t('sign_in')} · Group Ledger`;
  fill(document.body, el('header', { class: 'bar' }, el('span', { class: 'brand' }, 'Group Ledger'), el('div', { class: 'switches' }, switches())),
    el('main', { class: 'sign-in' }, el('h1', {}, t('sign_in')), el('p', {}, t('sign_in.intro')), form, el('p', { class: 'none' }, t('sign_in.where'))));
  input.focus();
}

const KEYS = [['/', 'search'], ['j k', 'down_up'], ['Enter', 'open'], ['o', 'group'], ['Esc', 'back'], ['?', 'help']];

function help() {
  return el('dialog', { id: 'keys', 'aria-labelledby': 'keys-title' }, el('h2', { id: 'keys-title' }, t('keys')),
    el('dl', {}, KEYS.map(([key, name]) => [el('dt', {}, key.split(' ').map((one) => el('kbd', {}, one))), el('dd', {}, t(`key.${name}`))])),
    el('form', { method: 'dialog' }, el('button', { class: 'main' }, t('close'))));
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

startTexts();
if (sessionStorage.getItem(THEME)) document.documentElement.dataset.theme = sessionStorage.getItem(THEME);
window.addEventListener('hashchange', show);
document.addEventListener('keydown', press);
show();
