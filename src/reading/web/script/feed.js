// The feed: its newest changes, the older ones, and those that come. Knows nothing of how they are shown.

import { ask } from './api.js';

/** How often it is looked for what became visible late, in milliseconds. */
const LATE = 10_000;
/** How far before the newest change the late ones are looked for at first, in milliseconds. */
const BEFORE = 20_000;
/** How many pages of new changes are read at a time; after that, and after so long without any, the list begins anew. */
const MOST_PAGES = 20;
const LONGEST = 5 * 60 * 1_000;

const DETAILS = { details: true, limit: 100 };

/** Says that so much is new that the list must begin anew. */
export class Anew extends Error {}

export class Feed {
  /** `filters` are parameters of the feed. */
  constructor(filters) {
    this.filters = filters;
    // When each change was recorded that was seen lately, by its key.
    this.seen = new Map();
  }

  ask(parameters, signal) {
    return ask('feed', { ...this.filters, ...parameters }, signal);
  }

  /** A page of the newest changes since `from`, and then of older ones: the changes, and whether there are more. */
  async older(from, signal) {
    const place = this.next === undefined ? { from } : { after: this.next };
    const { changes, next, more } = await this.ask({ ...place, order: 'desc', details: true, limit: 50 }, signal);
    if (this.next === undefined) this.start(from, changes);
    this.next = next;
    return { changes, more };
  }

  /** New changes are looked for from the newest on; late ones from some seconds before, as far as the first page goes. */
  start(from, changes) {
    this.readAt = this.lateAt = Date.now();
    const times = changes.map(({ recorded_at: time }) => time).filter((time) => time !== undefined);
    const newest = times[0];
    const before = newest && new Date(Date.parse(newest) - BEFORE).toISOString();
    this.quick = { from: newest ?? from };
    this.sure = { from: newest ? (before > times.at(-1) ? before : times.at(-1)) : from };
    this.fresh(changes);
  }

  /** Those of the changes that were not seen yet. */
  fresh(changes) {
    return changes.filter((change) => {
      const key = keyOf(change);
      if (this.seen.has(key)) return false;
      this.seen.set(key, change.recorded_at);
      return true;
    });
  }

  /**
   * What is new: what is visible by now, which is quick and may skip what becomes visible late; and every 10 s what the feed's promise
   * (settle=10) shows to have been skipped. Oldest first, each once.
   */
  async news(signal) {
    if (Date.now() - this.readAt > LONGEST) throw new Anew();
    const changes = [];
    for (let pages = 0, more = true; more; pages += 1) {
      if (pages === MOST_PAGES) throw new Anew();
      const page = await this.ask({ ...this.quick, settle: 0, ...DETAILS }, signal);
      this.quick = { after: page.next };
      changes.push(...this.fresh(page.changes));
      more = page.more;
    }
    if (Date.now() - this.lateAt > LATE) changes.push(...(await this.late(signal)));
    this.readAt = Date.now();
    return changes;
  }

  /** What became visible late. The place moves on only when all of it is there. */
  async late(signal) {
    let place = this.sure;
    const skipped = [];
    for (let more = true; more;) {
      const page = await this.ask({ ...place, settle: 10, limit: 1_000 }, signal);
      skipped.push(...page.changes.filter((change) => !this.seen.has(keyOf(change))));
      place = { after: page.next };
      more = page.more;
    }
    const changes = [];
    if (skipped.length > 0) {
      const last = skipped.at(-1).recorded_at;
      let from = { from: skipped[0].recorded_at };
      for (let more = true; more;) {
        const page = await this.ask({ ...from, settle: 0, ...DETAILS }, signal);
        changes.push(...this.fresh(page.changes));
        from = { after: page.next };
        more = page.more && page.changes.every((change) => change.recorded_at <= last);
      }
    }
    this.sure = place;
    this.lateAt = Date.now();
    this.forget();
    return changes;
  }

  /** Forgets what neither way comes upon again: what was recorded a minute before the newest. */
  forget() {
    const times = [...this.seen.values()].filter((time) => time !== undefined);
    const newest = times.reduce((one, other) => (one > other ? one : other), '');
    if (newest === '') return;
    const before = new Date(Date.parse(newest) - 60_000).toISOString();
    for (const [key, time] of this.seen) if (time !== undefined && time < before) this.seen.delete(key);
  }
}

/** The key of a change among all groups'. */
function keyOf(change) {
  return `${change.group_key}\n${change.change_key}`;
}
