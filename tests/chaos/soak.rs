//! An hour of all that a stack does, with most of the machine idle. `make soak` runs it; `compare --soak` makes a table and a plot
//! of what is noted here, and says whether the functions' memory is flat.

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::fs;

use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use serde_json::json;
use tokio::signal;

use super::{
    Answer, BTreeMap, Callback, Duration, Envelope, HashMap, Instant, JoinSet, OPENIM, OPENIM_OK, READER_TOKEN, Stack,
    TENCENT_CHAT, TENCENT_OK, TempDir, Timestamp, Value, ask, consume, drained, figures, interval, outcomes, queues,
    records_by_group, sample, send_at_rate, sleep, support, timeout,
};
use crate::queue::Queues;

/// Callbacks a second.
const A_SECOND: usize = 10;
/// How many groups have changes at a time.
const GROUPS: usize = 100;
/// How long, before others do: a state is folded from a group's whole history, whose growth would look like the reader's.
const GROUPS_LAST: Duration = Duration::from_mins(10);
/// How many people have the page open.
const PAGES: usize = 2;
/// How often DynamoDB is cut off, and for how long.
const OUTAGE_EVERY: Duration = Duration::from_mins(5);
const OUTAGE: Duration = Duration::from_secs(8);
/// How often memory is read.
const SAMPLE_EVERY: Duration = Duration::from_secs(10);
/// What the senders prove who they are with.
const SECRETS: [(&str, &str); 2] = [("TENCENT_CALLBACK_TOKENS", "xxxxyyyy"), ("OPENIM_CREDENTIALS", "user:password")];

/// The group that a callback is of, and how many of that group were before.
fn group_of(number: usize) -> (usize, usize) {
    let last = A_SECOND * usize::try_from(GROUPS_LAST.as_secs()).unwrap();
    (number / last * GROUPS + number % GROUPS, number % last / GROUPS)
}

/// The callback of a number, signed. Each group is created, and then somebody joins, it is renamed, and they leave, again and again.
fn callback(number: usize) -> Callback {
    let (group, turn) = group_of(number);
    let (platform, answer, commands) = if group.is_multiple_of(2) {
        let commands = ["CreateGroup", "NewMemberJoin", "GroupInfoChanged", "MemberExit"];
        (TENCENT_CHAT, TENCENT_OK, commands.map(|command| format!("Group.CallbackAfter{command}")))
    } else {
        let commands = ["CreateGroup", "JoinGroup", "SetGroupInfoEx", "QuitGroup"];
        (OPENIM, OPENIM_OK, commands.map(|command| format!("callbackAfter{command}Command")))
    };
    let command = &commands[if turn == 0 { 0 } else { 1 + (turn - 1) % 3 }];
    let body = fs::read(format!("tests/commands/{}/{command}.json", platform.name)).unwrap();
    let mut body: Value = serde_json::from_slice(&body).unwrap();
    if platform.name == TENCENT_CHAT.name {
        body["GroupId"] = json!(format!("g{group}"));
        body["EventTime"] = json!(Timestamp::now().unix_millis());
        body["Type"] = json!("Public");
    } else {
        body["groupID"] = json!(format!("g{group}"));
    }
    let sent = support::callback(platform, command, body.to_string()).signed(platform, &SECRETS);
    Callback { request: sent.http(), answer: (200, answer) }
}

/// Puts a record into the fallback queue every other second, each of a group of its own, so that the replay has work all the time.
async fn queue_records(queues: &Queues, records: usize) {
    let Envelope::Record(sample) = Envelope::from_text(&sample()).unwrap().remove(0) else { panic!("no record") };
    let mut ticks = interval(Duration::from_secs(2));
    for number in 0..records {
        ticks.tick().await;
        let mut record = sample.clone();
        record.change.group_id = format!("queued{number}").into();
        record.group_key = format!("openim#openim#queued{number}");
        let text = Envelope::Record(record).to_text();
        queues.client.send_message().queue_url(&queues.fallback_queue).message_body(text).send().await.unwrap();
    }
}

/// Cuts DynamoDB off now and then: when each outage began and ended, and when what was queued meanwhile was in the ledger.
async fn outages(stack: &Stack, queues: &Queues, begin: Instant, lasts: Duration) -> Vec<[Duration; 3]> {
    let every = OUTAGE_EVERY.min(lasts);
    let mut outages = Vec::new();
    while outages.len() < usize::try_from(lasts.as_secs() / every.as_secs()).unwrap() {
        let due = every * u32::try_from(outages.len()).unwrap() + every / 2;
        sleep(due.saturating_sub(begin.elapsed())).await;
        let cut_off = begin.elapsed();
        stack.signal("-USR1", false).await;
        sleep(OUTAGE).await;
        stack.signal("-USR1", false).await;
        let back = begin.elapsed();
        drained(queues).await;
        outages.push([cut_off, back, begin.elapsed()]);
    }
    outages
}

/// What the page asks for while it is open: the newest changes every 2 s, every 10 s what became visible late, as
/// src/reading/web/script/feed.js does; and a group that is opened as often, as group.js and history.js do.
#[derive(Default)]
struct Page {
    feed: Vec<Answer>,
    group: Vec<Answer>,
}

impl Page {
    async fn open(port: u16, number: usize, begin: Instant, lasts: Duration) -> Self {
        let mut page = Self::default();
        let now = Timestamp::now();
        let week_ago = now.plus_millis(-7 * 24 * 60 * 60 * 1_000);
        asked(port, &format!("feed?from={week_ago}&order=desc&details=true&limit=50"), &mut page.feed).await;
        let (mut quick, mut sure) = (format!("from={now}"), format!("from={now}"));
        let mut ticks = interval(Duration::from_secs(2));
        for tick in 1_usize.. {
            ticks.tick().await;
            if begin.elapsed() >= lasts {
                break;
            }
            page.news(port, &mut quick, "settle=0&details=true&limit=100").await;
            if tick.is_multiple_of(5) {
                page.news(port, &mut sure, "settle=10&limit=1000").await;
                // One of those that there have been for some seconds.
                let seconds = usize::try_from(begin.elapsed().as_secs()).unwrap();
                let (newest, _) = group_of(A_SECOND * seconds.saturating_sub(20));
                let group = newest / GROUPS * GROUPS + (tick + 101 * number) % (GROUPS / 2);
                let key = if group.is_multiple_of(2) { "tencent-chat%231400000000" } else { "openim%23openim" };
                let key = format!("group_key={key}%23g{group}");
                asked(port, &format!("state?{key}"), &mut page.group).await;
                asked(port, &format!("history?{key}&order=desc&limit=100&previous=true"), &mut page.group).await;
            }
        }
        page
    }

    /// All that is new since a place in the feed, which moves on.
    async fn news(&mut self, port: u16, place: &mut String, parameters: &str) {
        while let Some(answer) = asked(port, &format!("feed?{place}&{parameters}"), &mut self.feed).await {
            *place = format!("after={}", answer["next"].as_str().unwrap());
            if answer["more"] == false {
                break;
            }
        }
    }
}

/// Asks a route of the reader's, and notes how it went.
async fn asked(port: u16, route: &str, answers: &mut Vec<Answer>) -> Option<Value> {
    let begun = Instant::now();
    let body = ask(port, route).await.and_then(|(status, body)| (status == 200).then_some(body));
    answers.push(Answer { begun, is_right: body.is_some(), took: begun.elapsed() });
    body.map(|body| serde_json::from_str(&body).unwrap())
}

/// Takes from a queue what the bus's rule sends on, until it has the events of so many records: how often each.
async fn take_events(queues: Queues, queue_url: String, records: usize) -> HashMap<String, usize> {
    let mut seen = HashMap::new();
    while seen.len() < records {
        let receive = queues.client.receive_message().queue_url(&queue_url);
        let received = receive.max_number_of_messages(10).wait_time_seconds(1).send().await.unwrap();
        let mut taken = Vec::new();
        for (number, message) in received.messages.unwrap_or_default().into_iter().enumerate() {
            let event: Value = serde_json::from_str(message.body().unwrap()).unwrap();
            let change = &event["detail"];
            *seen.entry(format!("{}/{}", change["group_key"], change["change_key"])).or_default() += 1;
            let entry = DeleteMessageBatchRequestEntry::builder().id(number.to_string());
            taken.push(entry.receipt_handle(message.receipt_handle().unwrap()).build().unwrap());
        }
        if !taken.is_empty() {
            queues.client.delete_message_batch().queue_url(&queue_url).set_entries(Some(taken)).send().await.unwrap();
        }
    }
    seen
}

/// What processes of one name have of memory, by the time since the beginning; and which processes those were.
#[derive(Default)]
struct Memory {
    /// In bytes: the whole (RSS), and what of it is no file. A file's pages come and go as the machine needs its memory, and would
    /// hide what grows.
    samples: Vec<(f64, u64, u64)>,
    ids: BTreeSet<u32>,
}

/// Reads the memory of a stack's processes while it is under load, and says every minute how it goes.
async fn watch(stack: &Stack, queues: &Queues, begin: Instant, lasts: Duration) -> BTreeMap<String, Memory> {
    let mut memory: BTreeMap<String, Memory> = BTreeMap::new();
    let mut ticks = interval(SAMPLE_EVERY);
    ticks.tick().await;
    for sample in 1..=lasts.as_secs() / SAMPLE_EVERY.as_secs() {
        ticks.tick().await;
        let at = begin.elapsed().as_secs_f64();
        let mut line = String::new();
        for (name, processes) in memory_of(stack.id()) {
            let sum = |of: fn(&Process) -> u64| processes.iter().map(of).sum::<u64>();
            let (rss, anonymous) = (sum(|process| process.rss), sum(|process| process.anonymous));
            write!(line, ", {name} {:.1}", megabytes(rss)).unwrap();
            let own = memory.entry(name).or_default();
            own.samples.push((at, rss, anonymous));
            own.ids.extend(processes.iter().map(|process| process.id));
        }
        if sample.is_multiple_of(6) {
            let depth = queues.depth(&queues.fallback_queue).await.unwrap();
            println!("  {} min: {depth} in the fallback queue; MB{line}", sample / 6);
        }
    }
    memory
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// A process, with its memory in bytes.
struct Process {
    id: u32,
    parent: u32,
    name: String,
    rss: u64,
    anonymous: u64,
}

/// The processes under one, itself included, by name.
fn memory_of(root: u32) -> BTreeMap<String, Vec<Process>> {
    let ids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let mut processes: HashMap<u32, Process> = ids.filter_map(|id| Some((id, process(id)?))).collect();
    let is_under = |mut id: u32| loop {
        match processes.get(&id) {
            _ if id == root => return true,
            Some(process) => id = process.parent,
            None => return false,
        }
    };
    let own: Vec<u32> = processes.keys().copied().filter(|id| is_under(*id)).collect();
    let mut by_name: BTreeMap<String, Vec<Process>> = BTreeMap::new();
    for process in own.iter().filter_map(|id| processes.remove(id)) {
        by_name.entry(process.name.clone()).or_default().push(process);
    }
    by_name
}

/// A process that is still there, unless it is the kernel's.
fn process(id: u32) -> Option<Process> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let field = |name: &str| Some(status.lines().find_map(|line| line.strip_prefix(name))?.trim());
    let bytes = |name: &str| Some(field(name)?.trim_end_matches(" kB").parse::<u64>().ok()? * 1_024);
    Some(Process {
        id,
        parent: field("PPid:")?.parse().ok()?,
        name: field("Name:")?.to_owned(),
        rss: bytes("VmRSS:")?,
        anonymous: bytes("RssAnon:")?,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "an hour of load: make soak"]
async fn an_hour_of_mixed_load() {
    fs::create_dir_all("target/soak").unwrap();
    let minutes: usize = env::var("MINUTES").map_or(60, |minutes| minutes.parse().expect("MINUTES must be a number"));
    let lasts = Duration::from_secs(60 * minutes as u64);
    let (callbacks, queued) = (A_SECOND * 60 * minutes, 30 * minutes);
    let [a_second, seconds] = [A_SECOND, 60 * minutes].map(|count| u32::try_from(count).unwrap());
    let tokens = format!("soak:{READER_TOKEN}");
    let settings = [SECRETS.as_slice(), &[("READER_TOKENS", &tokens)]].concat();
    let stack = Stack::start(TempDir::new().unwrap(), &settings).await;
    let (port, own_queues) = (stack.ports[0], queues(&stack));
    let follower = tokio::spawn(consume(port, callbacks + queued));
    let events_queue = format!("{}/000000000000/events", own_queues.endpoint);
    let receiver = tokio::spawn(take_events(own_queues.clone(), events_queue, callbacks + queued));
    let begin = Instant::now();
    let mut pages = JoinSet::new();
    for number in 0..PAGES {
        pages.spawn(Page::open(port, number, begin, lasts));
    }
    let load = async {
        tokio::join!(
            send_at_rate(port, a_second, seconds, callback),
            queue_records(&own_queues, queued),
            outages(&stack, &own_queues, begin, lasts),
            watch(&stack, &own_queues, begin, lasts),
            pages.join_all(),
        )
    };
    let loaded = tokio::select! {
        loaded = load => Some(loaded),
        _ = signal::ctrl_c() => None,
    };
    let Some((answers, (), outages, memory, pages)) = loaded else {
        // The stack has a process group of its own, which the terminal's Ctrl-C does not reach.
        stack.signal("-INT", true).await;
        stack.end().await;
        panic!("interrupted");
    };
    let (mut feed, mut group) = (Vec::new(), Vec::new());
    for page in pages {
        feed.extend(page.feed);
        group.extend(page.group);
    }
    let polls = [("the page's feed", feed), ("a group on the page", group)];
    let points = |answers: &[Answer]| {
        let point =
            |answer: &Answer| (answer.begun.duration_since(begin).as_secs_f64(), answer.took.as_secs_f64() * 1e3);
        answers.iter().map(point).collect::<Vec<_>>()
    };
    let mut noted = json!({
        "minutes": minutes,
        "a_second": A_SECOND,
        "groups": GROUPS,
        "pages": PAGES,
        "outage_seconds": OUTAGE.as_secs(),
        "queued_by_hand": queued,
        "outages": outages.iter().map(|times| times.map(|time| time.as_secs_f64())).collect::<Vec<_>>(),
        "memory": memory.iter().map(|(name, memory)| (name, &memory.samples)).collect::<BTreeMap<_, _>>(),
        "latencies": [
            ("callbacks", points(&answers)), (polls[0].0, points(&polls[0].1)), (polls[1].0, points(&polls[1].1)),
        ],
    });
    let write = |noted: &Value| fs::write("target/soak/soak.json", noted.to_string()).unwrap();
    // Before anything may fail: it says why.
    write(&noted);

    drained(&own_queues).await;
    assert_eq!(own_queues.depth(&own_queues.dead_letters).await.unwrap(), 0);
    let seen = timeout(Duration::from_mins(1), follower).await.expect("the feed lacks records").unwrap();
    let events = timeout(Duration::from_mins(1), receiver).await.expect("the bus lacks events").unwrap();
    stack.signal("-INT", true).await;
    let (_, output, folder) = stack.end().await;

    let outcomes = outcomes(&output);
    let repeated_events = events.values().sum::<usize>() - events.len();
    noted["outcomes"] = json!(outcomes);
    noted["repeated_events"] = json!(repeated_events);
    write(&noted);

    figures(&format!("Soak, {A_SECOND} a second for {minutes} minutes, {} outages", outages.len()), &answers);
    println!("  {outcomes:?}; {repeated_events} events came again");
    let is_in_outage = |answer: &Answer| {
        let (from, until) = (answer.begun - begin, answer.begun + answer.took - begin);
        outages.iter().any(|[cut_off, _, drained]| from <= *drained && until >= *cut_off)
    };
    for (what, answers) in &polls {
        let failed = answers.iter().filter(|answer| !answer.is_right).count();
        let wrong = answers.iter().filter(|answer| !answer.is_right && !is_in_outage(answer)).count();
        println!("  {what}: {} requests, {failed} failed, {wrong} of them outside of an outage", answers.len());
        assert_eq!(wrong, 0, "{what}");
    }
    let groups = records_by_group(&folder);
    let mut expected: BTreeMap<usize, usize> = BTreeMap::new();
    for number in 0..callbacks {
        *expected.entry(group_of(number).0).or_default() += 1;
    }
    for (group, sent) in expected {
        assert_eq!(groups[&format!("g{group}")], sent, "records of the group g{group}");
    }
    assert_eq!(groups.values().sum::<usize>(), callbacks + queued);
    let more_than_once = seen.values().filter(|times| **times > 1).count();
    assert_eq!((seen.len(), more_than_once), (callbacks + queued, 0), "the feed");
    assert_eq!(events.len(), callbacks + queued, "the bus");
    assert!(outcomes["queued"] >= outages.len() * A_SECOND, "the outages were none");
    // One that was started anew would hide its growth.
    for (name, Memory { ids, .. }) in memory.iter().filter(|(name, _)| *name != "sh") {
        assert_eq!(ids.len(), 1, "{name} was started anew");
    }
}
