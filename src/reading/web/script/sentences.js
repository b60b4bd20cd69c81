// Changes as sentences. One table for every kind: which text, and what goes into it.

import { cut, id, isBlank, untrusted } from './dom.js';
import { has, list, number, say } from './texts.js';

/** The kinds of changes, as people look for them. */
export const KINDS = {
  __proto__: null,
  group: [
    'group.created',
    'group.info_changed',
    'group.owner_changed',
    'group.dismissed',
    'group.full',
    'group.unknown',
    'app.group_quota_alarm',
  ],
  members: ['member.*'],
  attributes: ['group.attributes_changed'],
  topics: ['topic.*'],
};

const SENTENCES = {
  'group.created': (change) => ['', { name: named(change.name), members: withMembers(change.members) }],
  'group.info_changed': (change) => info(change, 'name'),
  'group.owner_changed': ({ old_owner: from, new_owner: to }, operator) => {
    const variant = !to ? 'unknown' : from && from !== operator ? 'from_to' : 'to';
    return [variant, { old_owner: from && user(from), new_owner: to && user(to) }];
  },
  'group.attributes_changed': ({ operation, attributes = {} }) => {
    const keys = Object.keys(attributes);
    const counted = ['set', 'modify', 'delete'].includes(operation) && keys.length > 0;
    const variant = counted || operation === 'clear' ? operation : 'other';
    return [variant, { count: counted ? keys.length : undefined, keys: few(keys) }];
  },
  'group.dismissed': (change) => ['', { name: named(change.name) }],
  'group.full': () => ['', {}],
  'group.unknown': (_change, _operator, { command }) => ['', { command: id(command ?? '', 64) }],
  'member.joined': ({ members = [], how }, operator) => {
    const alone = members.length === 1 && members[0] === operator;
    return [how === 'invited' ? 'invited' : alone ? 'alone' : 'other', { members: people(members) }];
  },
  'member.left': ({ members = [], how }, operator) => {
    const removed = how === 'kicked' || (how !== 'quit' && operator && !members.includes(operator));
    return [removed ? 'kicked' : 'quit', { count: members.length || 1, members: people(members) }];
  },
  'member.changed': (change) => {
    const fields = changed(change, ['role', 'nickname', 'face_url', 'ex']);
    const values = { member: user(change.member ?? '') };
    const role = ROLES[change.role];
    if (fields.length === 1 && role) return [role, values];
    if (fields.length === 1 && change.nickname) return ['nickname', { ...values, nickname: quoted(change.nickname) }];
    if (fields.length === 1 && change.nickname === '') return ['nickname_cleared', values];
    return [fields.length === 0 ? 'none' : 'fields', { ...values, count: fields.length || undefined, fields: list(fields) }];
  },
  'member.state_changed': ({ members = [], state }) => {
    const variant = STATES[state] ?? 'other';
    return [variant, { members: people(members), state: untrusted(String(state ?? '?')) }];
  },
  'topic.created': (change) => ['', { name: named(change.name) }],
  'topic.info_changed': (change) => {
    const [variant, values] = info(change, 'name', 'topic');
    return [variant, { ...values, topic: topic(change.topic_id) }];
  },
  'topic.dismissed': ({ topic_id: one, topic_ids: several }) => {
    const topics = several ?? (one ? [one] : []);
    return ['', { count: topics.length || 1, topics: list(topics.slice(0, 3).map(topic)) }];
  },
  'app.group_quota_alarm': ({ quota, quota_used: used }) => ['', { used: figure(used), quota: figure(quota) }],
};

/** The roles of Tencent Chat and OpenIM; nothing is inherited, so that no other text is taken for one. */
const ROLES = { __proto__: null, Admin: 'admin', Member: 'ordinary', Owner: 'owner', 60: 'admin', 20: 'ordinary', 100: 'owner' };
/** The states of Tencent Chat's members. */
const STATES = { __proto__: null, Online: 'online', Offline: 'offline' };

/** A change as a sentence, to append: who did it is the subject, and where the callback does not say, it is in the passive. */
export function sentence(change) {
  const { kind, operator } = change;
  const table = Object.hasOwn(SENTENCES, kind) ? SENTENCES[kind] : null;
  if (!table)
    return say(operator ? 'kind.unknown.by' : 'kind.unknown.passive', {
      kind: id(kind, 64),
      operator: operator && user(operator),
    });
  const [variant, values] = table(change.change ?? {}, operator, change);
  const key = variant === '' ? kind : `${kind}.${variant}`;
  return say(`${key}.${operator ? 'by' : 'passive'}`, { ...values, operator: operator && user(operator) });
}

/** A user or a key, by the id; said to be empty where nothing would be seen. */
export function user(name, most = 24) {
  return isBlank(name) ? say('empty') : id(name, most);
}

const PLACES = ['name', 'owner', 'group_type', 'notification', 'introduction', 'face_url'];

/** The order of fields: by what people look for first. */
export function byPlace(one, other) {
  const place = (field) => (PLACES.includes(field) ? PLACES.indexOf(field) : PLACES.length);
  return place(one) - place(other);
}

/** The name of a field, in words where there are some. */
export function label(field, of = '') {
  if (has(`field.${of}.${field}`)) return say(`field.${of}.${field}`);
  return has(`field.${field}`) ? say(`field.${field}`) : user(field, 32);
}

/** A name in quotation marks. */
export function quoted(text) {
  return say('quoted', { text: isBlank(text) ? say('empty') : untrusted(cut(text, 80), { class: 'name' }) });
}

/** The text for a role, in words where it is known. */
export function role(value) {
  return ROLES[value] ? say(`role.${ROLES[value]}`) : untrusted(cut(String(value), 80));
}

/** One changed field is told with its value where that is short; several by their names. */
function info(change, title, of) {
  const fields = Object.keys(change)
    .filter((field) => !['topic_id', 'custom_fields'].includes(field))
    .sort(byPlace);
  const custom = Object.keys(change.custom_fields ?? {});
  if (fields.length + custom.length === 0) return ['none', {}];
  if (fields.length === 1 && custom.length === 0) {
    const [field] = fields;
    if (change[field] === '') return ['cleared', { field: label(field, of) }];
    if (field === title) return ['renamed', { name: quoted(String(change[field])) }];
  }
  const all = fields.map((field) => label(field, of));
  if (custom.length > 0) all.push(say('custom_fields', { count: custom.length, keys: few(custom) }));
  return ['fields', { count: fields.length + custom.length, fields: list(all) }];
}

function changed(change, fields) {
  return fields.filter((field) => Object.hasOwn(change, field)).map((field) => label(field));
}

function named(name) {
  return name ? say('named', { name: quoted(name) }) : '';
}

function withMembers(members = []) {
  return members.length > 0 ? say('with_members', { count: members.length }) : '';
}

/** One or two by name, more by the first and their number. */
function people(members) {
  if (members.length === 0) return say('somebody');
  if (members.length < 3) return list(members.map((name) => user(name)));
  return say('and_others', { first: user(members[0]), count: members.length - 1, total: number(members.length) });
}

function few(keys) {
  return list([...keys.slice(0, 3).map((key) => user(key, 20)), ...(keys.length > 3 ? ['…'] : [])]);
}

function topic(key) {
  // Tencent's topics are named after their group: what follows the mark is the topic's own.
  return key ? id(key.split('@TOPIC#').pop(), 24) : say('some_topic');
}

function figure(value) {
  return typeof value === 'number' ? number(value) : untrusted(String(value ?? '?'));
}

/** A platform by its own name, in words where there are some. */
export function platform(name) {
  return has(`platform.${name}`) ? say(`platform.${name}`) : untrusted(name);
}
