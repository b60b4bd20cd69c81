//! Who may call: settings that stop the start, several live secrets, and the edges of Tencent's minute.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::ledger::receipt;
use crate::support::{
    OPENIM, Sent, TENCENT_CHAT, Table, all, assert_answer, change, change_with, local_settings, platform, receiver,
};

const BODY: &str =
    r#"{"CallbackCommand":"Group.CallbackAfterGroupInfoChanged","GroupId":"g1","EventTime":1715049600123}"#;
const COMMAND: &str = "Group.CallbackAfterGroupInfoChanged";
const OPENIM_BODY: &str = r#"{"callbackCommand":"callbackAfterSetGroupInfoExCommand","groupID":"g1","groupName":"n"}"#;
const OPENIM_PATH: &str = "/openim/callbackAfterSetGroupInfoExCommand";
/// `Sent`'s time of receipt.
const NOW: i64 = 1_715_049_601;

#[test]
fn a_bad_setting_stops_the_start_and_names_the_variable() {
    for (name, value) in [
        ("TABLE_NAME", ""),
        ("AWS_REGION", ""),
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("RETENTION_DAYS", "hunter2"),
        ("TENCENT_SDK_APP_ID", ""),
        ("TENCENT_SDK_APP_ID", "hunter2"),
        ("TENCENT_ALLOW_UNSIGNED", "hunter2"),
    ] {
        let mut settings = local_settings("http://127.0.0.1:1");
        settings.insert(name.into(), value.into());
        assert_names(&receiver(TENCENT_CHAT, &settings).unwrap_err(), name);
    }
    let too_long = "a".repeat(65);
    for (name, value) in [
        ("OPENIM_APP_ID", "a#b"),
        ("OPENIM_APP_ID", too_long.as_str()),
        ("FALLBACK_QUEUE_URL", "hunter2"),
        ("OPENIM_CREDENTIALS", "hunter2"),
        ("OPENIM_CREDENTIALS", "hunter2:"),
        ("OPENIM_CREDENTIALS", ":hunter2"),
        ("OPENIM_CREDENTIALS", "user:hunter2,:"),
        ("OPENIM_ALLOW_ANONYMOUS", "yes"),
    ] {
        let mut settings = local_settings("http://127.0.0.1:1");
        settings.insert(name.into(), value.into());
        assert_names(&receiver(OPENIM, &settings).unwrap_err(), name);
    }
}

#[test]
fn the_longest_app_id_is_taken() {
    let mut settings = local_settings("http://127.0.0.1:1");
    settings.insert("OPENIM_APP_ID".into(), "a".repeat(64));
    assert!(receiver(OPENIM, &settings).is_ok());
}

fn assert_names(error: &str, name: &str) {
    assert!(error.starts_with(name), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_function_that_nobody_is_kept_from_calling_does_not_start() {
    for platform in all() {
        for (allowed, secrets) in [("false", ""), ("", ""), ("false", " , ")] {
            let mut settings = local_settings("http://127.0.0.1:1");
            settings.insert(platform.allow_anybody.into(), allowed.into());
            settings.insert(platform.secrets.into(), secrets.into());
            assert_names(&receiver(platform, &settings).unwrap_err(), platform.secrets);
        }
    }
}

/// Of the form that every platform's secrets may have.
#[tokio::test]
async fn a_sender_with_a_live_secret_is_genuine_and_no_other_one_is() {
    for platform in all() {
        let table = Table::start().await;
        // Anybody is allowed too: secrets that are set are required all the same.
        let receiver = table.receiver(platform, &[(platform.secrets, "user:new,user:old")]);
        for (what, secret, status) in [
            ("the new secret", "user:new", &[200][..]),
            ("the old secret", "user:old", &[200]),
            ("another secret", "user:other", &[401, 403]),
            ("the beginning of a secret", "user:ne", &[401, 403]),
            ("no secret", "", &[401, 403]),
        ] {
            let response = change(platform).signed(platform, &[(platform.secrets, secret)]).to(&receiver).await;
            let answered = response.status().as_u16();
            assert!(status.contains(&answered), "{}: {what} is answered {answered}", platform.name);
            assert_answer(platform, &response, answered, what);
        }
        for (name, _) in platform.sample_app {
            let settings = [(platform.secrets, "user:new"), (*name, "1")];
            let response = change(platform).signed(platform, &settings).to(&receiver).await;
            assert_answer(platform, &response, 403, "another app");
        }
        assert_eq!(table.records().len(), 2, "{}", platform.name);
        assert!(table.quarantined().is_empty(), "{}", platform.name);
    }
}

/// What an alarm on a release watches: our app or user with a wrong secret, and no stranger.
#[tokio::test]
async fn a_wrong_secret_of_our_app_or_user_is_told_from_a_strangers() {
    for platform in all() {
        let table = Table::start().await;
        let receiver = table.receiver(platform, &[(platform.secrets, "user:new")]);
        let ours = change(platform).signed(platform, &[(platform.secrets, "user:other")]);
        let strangers = Sent::post(&ours.path, "", ours.body.clone());
        for (sent, outcome) in [(ours, "rejected_known_caller"), (strangers, "rejected")] {
            assert_eq!(
                receipt(&receiver, &sent, |receipt| receipt.outcome.as_str()).await,
                outcome,
                "{}",
                platform.name
            );
        }
    }
}

/// A query signed with `token` at `time`.
fn signed(token: &str, time: &str) -> String {
    let digest = Sha256::new().chain_update(token).chain_update(time).finalize();
    let sign = digest.iter().fold(String::new(), |sign, byte| sign + &format!("{byte:02x}"));
    format!("SdkAppid=1400000000&CallbackCommand={COMMAND}&Sign={sign}&RequestTime={time}")
}

#[tokio::test]
async fn a_tencent_callback_is_signed_with_a_live_token_within_a_minute() {
    let table = Table::start().await;
    // Unsigned callbacks are allowed too: tokens that are set are required all the same.
    let receiver = table.receiver(TENCENT_CHAT, &[("TENCENT_CALLBACK_TOKENS", "new, old, twice, twice")]);
    let at = |offset: i64| (NOW + offset).to_string();
    let fresh = signed("new", &at(0));
    let sign = fresh.split("&Sign=").nth(1).unwrap().split('&').next().unwrap();
    for (what, query, status) in [
        ("the new token", fresh.clone(), 200),
        ("the old token", signed("old", &at(0)), 200),
        ("a token that is set twice", signed("twice", &at(0)), 200),
        ("capital hex digits", fresh.replace(sign, &sign.to_uppercase()), 200),
        ("60 s ago", signed("new", &at(-60)), 200),
        ("60 s ahead", signed("new", &at(60)), 200),
        ("61 s ago", signed("new", &at(-61)), 403),
        ("61 s ahead", signed("new", &at(61)), 403),
        ("no sign", format!("SdkAppid=1400000000&CallbackCommand={COMMAND}"), 403),
        ("the tokens' list as a token", signed("new, old", &at(0)), 403),
        ("the empty token", signed("", &at(0)), 403),
        ("a time with a sign", signed("new", &format!("+{NOW}")).replace('+', "%2B"), 403),
        ("hex that is none", fresh.replace(sign, &"zz".repeat(32)), 403),
        ("two signs", format!("{fresh}&Sign=0"), 403),
        ("two times", format!("{fresh}&RequestTime=0"), 403),
        ("two commands", format!("{fresh}&CallbackCommand={COMMAND}"), 403),
        ("two apps", format!("{fresh}&SdkAppid=1400000000"), 403),
        ("another app", fresh.replace("1400000000", "1400000001"), 403),
        ("an app id with a zero", fresh.replace("1400000000", "01400000000"), 403),
        ("no app", fresh.replace("SdkAppid", "SdkAppId"), 403),
    ] {
        let response = Sent::post("/tencent-chat", &query, BODY).to(&receiver).await;
        assert_answer(TENCENT_CHAT, &response, status, what);
    }
}

#[tokio::test]
async fn a_time_that_is_none_is_told_from_a_stale_one() {
    let table = Table::start().await;
    let receiver = table.receiver(TENCENT_CHAT, &[("TENCENT_CALLBACK_TOKENS", "new")]);
    for (time, code) in [("", 40303), ("1e9", 40303), ("0", 40304), ("99999999999999999999", 40304)] {
        let response = Sent::post("/tencent-chat", &signed("new", time), "{}").to(&receiver).await;
        assert!(response.body().contains(&code.to_string()), "{time}: {}", response.body());
    }
}

#[tokio::test]
async fn an_openim_callback_presents_live_credentials() {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    let table = Table::start().await;
    let receiver = table.receiver(OPENIM, &[("OPENIM_CREDENTIALS", "im:new:pass, im:old, im:twice, im:twice")]);
    let basic = |credentials: &str| format!("Basic {}", BASE64_STANDARD.encode(credentials));
    for (what, header, status) in [
        ("the new password, with a colon in it", basic("im:new:pass"), 200),
        ("the old password", basic("im:old"), 200),
        ("a password that is set twice", basic("im:twice"), 200),
        ("another case of the scheme", basic("im:old").replace("Basic", "basic"), 200),
        ("a wrong password", basic("im:new"), 401),
        ("a longer password", basic("im:older"), 401),
        ("no password", basic("im"), 401),
        ("nothing", basic(""), 401),
        ("another scheme", basic("im:old").replace("Basic", "Bearer"), 401),
        ("no base64", "Basic im:old".into(), 401),
        ("no scheme", BASE64_STANDARD.encode("im:old"), 401),
    ] {
        let response = Sent::post(OPENIM_PATH, "", OPENIM_BODY).header("Authorization", &header).to(&receiver).await;
        assert_answer(OPENIM, &response, status, what);
    }
    let response = Sent::post(OPENIM_PATH, "", OPENIM_BODY).to(&receiver).await;
    assert_answer(OPENIM, &response, 401, "no header");
}

#[tokio::test]
async fn an_answer_says_how_to_do_better() {
    let table = Table::start().await;
    let receiver = table.receiver(OPENIM, &[("OPENIM_CREDENTIALS", "u:p")]);
    let get = Sent { method: "GET".into(), ..Sent::post(OPENIM_PATH, "", "") };
    assert_eq!(get.to(&receiver).await.headers()["allow"], "POST");
    let anonymous = Sent::post(OPENIM_PATH, "", OPENIM_BODY).to(&receiver).await;
    assert_eq!(anonymous.headers()["www-authenticate"], "Basic realm=\"group-ledger\"");
}

#[tokio::test]
async fn an_empty_post_is_a_check_of_the_url() {
    let table = Table::start().await;
    for platform in all() {
        let receiver = table.receiver(platform, &[(platform.secrets, "u:p")]);
        for body in ["", " \r\n"] {
            let sent = Sent::post(&format!("/{}", platform.name), "", body);
            assert_answer(platform, &sent.to(&receiver).await, 200, body);
        }
        let response = change_with(platform, "").to(&receiver).await;
        assert!([401, 403].contains(&response.status().as_u16()), "{}: a command is no check", platform.name);
    }
    assert!(table.items().is_empty());
}

#[tokio::test]
async fn records_expire_only_where_retention_is_set() {
    for (days, expires_at) in [("", None), ("30", Some(NOW + 30 * 86_400))] {
        let table = Table::start().await;
        let receiver = table.receiver(OPENIM, &[("RETENTION_DAYS", days), ("OPENIM_APP_ID", "chat-eu")]);
        Sent::post(OPENIM_PATH, "", OPENIM_BODY).to(&receiver).await;
        let record = table.records().remove(0);
        assert_eq!(record.get("expires_at").and_then(serde_json::Value::as_i64), expires_at);
        assert_eq!(record["group_key"], "openim#chat-eu#g1");
    }
}

/// Only where it retries is an answer held back for it.
#[tokio::test]
async fn a_sender_that_retries_is_tencent_unless_its_switch_is_off() {
    let table = Table::start().await;
    for (value, retries) in [("", true), ("true", true), ("false", false)] {
        let receiver = table.receiver(TENCENT_CHAT, &[("TENCENT_RETRIES_AFTER_TIMEOUT", value)]);
        assert_eq!(receiver.platform().retries_after_timeout(), retries, "{value}");
    }
    assert!(!table.receiver(OPENIM, &[]).platform().retries_after_timeout());
}

/// "Webhook Overview" on timeouts, and `timeout` of each event in `webhooks.yml`.
#[test]
fn a_sender_waits_as_long_as_its_platform_says() {
    for (registration, seconds) in [(TENCENT_CHAT, 2), (OPENIM, 5)] {
        assert_eq!(platform(registration, &[]).sender_timeout(), Duration::from_secs(seconds));
    }
}
