//! The platforms that the general tests run over, and what these know of each: what its sender sends and is told.

use group_ledger::domain::rejection::Rejection;
use group_ledger::platform::{PLATFORMS, Platform, Registration, openim, tencent_chat};
use group_ledger::settings::Settings;

use crate::example_chat;
use crate::support::{Sent, local_settings};

pub(crate) const TENCENT_CHAT: &Registration = &tencent_chat::REGISTRATION;
pub(crate) const OPENIM: &Registration = &openim::REGISTRATION;
/// A folder of the examples, which shows that another platform takes no more than a folder.
pub(crate) const EXAMPLE_CHAT: &Registration = &example_chat::REGISTRATION;

/// What the general tests know of a platform beside its registration.
struct Row {
    platform: &'static Registration,
    /// Path and query of a callback, with `COMMAND` in place of its command.
    url: (&'static str, &'static str),
    /// The command and the body of a change of the group `g1`. The body names the command too, so that it is a change whatever
    /// the URL ends in.
    change: (&'static str, &'static str),
    /// Whether that body carries its own time, so that it is one record however often it is delivered.
    has_time: bool,
    /// A command of messages, which nothing keeps.
    message: &'static str,
    /// The answer of success.
    accepted: &'static str,
    /// The answer of a rejection, with `CODE` and `SENTENCE` in place of its own.
    rejected: &'static str,
}

/// A row a platform.
static ROWS: [Row; 3] = [
    Row {
        platform: TENCENT_CHAT,
        url: ("/tencent-chat", "SdkAppid=1400000000&CallbackCommand=COMMAND"),
        change: (
            "Group.CallbackAfterGroupInfoChanged",
            r#"{"CallbackCommand":"Group.CallbackAfterGroupInfoChanged","GroupId":"g1","Name":"n","EventTime":1715049600123}"#,
        ),
        has_time: true,
        message: "Group.CallbackAfterSendMsg",
        accepted: r#"{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}"#,
        rejected: r#"{"ActionStatus":"FAIL","ErrorInfo":"SENTENCE","ErrorCode":CODE}"#,
    },
    Row {
        platform: OPENIM,
        url: ("/openim/COMMAND", ""),
        change: (
            "callbackAfterSetGroupInfoExCommand",
            r#"{"callbackCommand":"callbackAfterSetGroupInfoExCommand","groupID":"g1","groupName":"n"}"#,
        ),
        has_time: false,
        message: "callbackAfterSendGroupMsgCommand",
        accepted: r#"{"actionCode":0,"errCode":0,"errMsg":"Success","errDlt":"","nextCode":0}"#,
        rejected: r#"{"actionCode":1,"errCode":CODE,"errMsg":"SENTENCE","errDlt":"","nextCode":0}"#,
    },
    Row {
        platform: EXAMPLE_CHAT,
        url: ("/example-chat", "app=demo&event=COMMAND"),
        change: (
            "room.renamed",
            r#"{"event":"room.renamed","at":1715049600123,"by":"u1","room":{"id":"g1","title":"n"}}"#,
        ),
        has_time: true,
        message: "message.sent",
        accepted: r#"{"accepted":true}"#,
        rejected: r#"{"accepted":false,"error":{"code":CODE,"message":"SENTENCE"}}"#,
    },
];

fn row(platform: &Registration) -> &'static Row {
    ROWS.iter().find(|row| row.platform.name == platform.name).unwrap_or_else(|| panic!("{} has no row", platform.name))
}

/// The platforms of [`PLATFORMS`], and the third one.
pub(crate) fn all() -> impl Iterator<Item = &'static Registration> {
    PLATFORMS.into_iter().chain([EXAMPLE_CHAT])
}

/// The platform of a name, or of a sample or a fixture whose name begins with it.
pub(crate) fn platform_of(name: &str) -> &'static Registration {
    all().find(|platform| name.starts_with(platform.name)).unwrap()
}

/// A platform that takes anybody's callbacks of its sample app, with `more` settings.
pub(crate) fn platform(platform: &Registration, more: &[(&str, &str)]) -> Box<dyn Platform> {
    let mut settings = local_settings("http://127.0.0.1:1");
    settings.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    (platform.from_settings)(&Settings::new(&|name| settings.get(name).cloned())).unwrap()
}

/// Every rejection that a platform's sender may be told.
pub(crate) fn rejections(platform: &Registration) -> impl Iterator<Item = Rejection> {
    Rejection::SHARED.into_iter().chain(platform.rejections.iter().copied())
}

/// A callback of `command`, which its URL names.
pub(crate) fn callback(platform: &Registration, command: &str, body: impl Into<Vec<u8>>) -> Sent {
    let (path, query) = row(platform).url;
    Sent::post(&path.replace("COMMAND", command), &query.replace("COMMAND", command), body)
}

/// A change of the group `g1`.
pub(crate) fn change(platform: &Registration) -> Sent {
    let (command, body) = row(platform).change;
    callback(platform, command, body)
}

/// The same command with another body.
pub(crate) fn change_with(platform: &Registration, body: impl Into<Vec<u8>>) -> Sent {
    callback(platform, row(platform).change.0, body)
}

/// A callback of messages.
pub(crate) fn message(platform: &Registration, body: impl Into<Vec<u8>>) -> Sent {
    callback(platform, row(platform).message, body)
}

/// Whether [`change`] carries its own time.
pub(crate) fn has_time(platform: &Registration) -> bool {
    row(platform).has_time
}

/// A platform's answers with a status: success, or each rejection that has it.
pub(crate) fn answers(platform: &Registration, status: u16) -> Vec<String> {
    let Row { accepted, rejected, .. } = row(platform);
    if status == 200 {
        return vec![(*accepted).to_owned()];
    }
    let of_status = rejections(platform).filter(|rejection| rejection.status() == status);
    let answer = |rejection: Rejection| {
        rejected.replace("CODE", &rejection.code().to_string()).replace("SENTENCE", rejection.sentence())
    };
    of_status.map(answer).collect()
}
