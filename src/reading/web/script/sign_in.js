// Signing in.

import { check, token } from './api.js';
import { el, fill } from './dom.js';
import { reason } from './parts.js';
import { t } from './texts.js';

/** The form, with a message where somebody has to sign in again. `done` is called where the token is valid. */
export function signIn(message, done) {
  const input = el('input', {
    type: 'password',
    id: 'token',
    name: 'token',
    autocomplete: 'off',
    required: true,
    spellcheck: 'false',
    'aria-describedby': 'problem',
  });
  const problem = el('p', { id: 'problem', class: 'problem', role: 'alert' }, message && t(message));
  const submit = el('button', { class: 'main' }, t('sign_in'));
  const onsubmit = async (event) => {
    event.preventDefault();
    const given = input.value.trim();
    submit.disabled = true;
    fill(submit, t('sign_in.busy'));
    const failure = await check(given).then(
      () => null,
      (failure) => failure,
    );
    if (failure === null) {
      token.set(given);
      return done();
    }
    fill(problem, failure.status === 401 ? t('sign_in.wrong') : reason(failure));
    submit.disabled = false;
    fill(submit, t('sign_in'));
    input.focus();
  };
  const form = el('form', { onsubmit }, el('label', { for: 'token' }, t('sign_in.token')), input, submit, problem);
  const where = el('p', { class: 'none' }, t('sign_in.where'));
  return el('main', { class: 'sign-in' }, el('h1', {}, t('sign_in')), el('p', {}, t('sign_in.intro')), form, where);
}
