#!/usr/bin/env bash
# Proves the deployed shapes, against an embedded DynamoDB. With the real SAM CLI: builds with `sam build`, then invokes
# every sample event in containers and sends requests through `sam local start-api`. The server: runs its image, and the
# package of the SCF web function as SCF starts it. Needs Docker, or root on Debian to install and start one. Leaves
# nothing running and no image behind, however it ends.
#
# The containers' base image is made of this machine's own C library, bash and busybox, because it must not be pulled: it
# is neither Amazon Linux 2023, though the runtime emulator inside it is Amazon's, nor SCF's CentOS 7.6.
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { printf '\033[1m%s\033[0m\n' "$1"; }
fail() { printf 'error: %s\n' "$1" >&2; exit 1; }

architecture=$ARCHITECTURE
work=$(mktemp -d)
image=group-ledger/lambda-base:$architecture
server_image=group-ledger/server-under-test:$architecture
dockerd_pid=
had_bridge=$([ -e /sys/class/net/docker0 ] && echo yes || echo no)

cleanup() {
	trap - EXIT INT TERM
	if [ -n "$dockerd_pid" ]; then
		kill "$dockerd_pid" 2>/dev/null || true
		wait "$dockerd_pid" 2>/dev/null || true
		if [ "$had_bridge" = no ]; then ip link delete docker0 2>/dev/null || true; fi
	elif docker info >/dev/null 2>&1; then
		# Somebody else's engine: what SAM built is tagged like the image it was built from.
		docker images -q --filter reference="${server_image%:*}" --filter reference="${image%:*}" | awk '!seen[$0]++' | while read -r ours; do
			docker ps -aq --filter "ancestor=$ours" | xargs -r docker rm -f >/dev/null 2>&1 || true
			docker rmi -f "$ours" >/dev/null 2>&1 || true
		done
	fi
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

start_docker() {
	if docker info >/dev/null 2>&1; then return; fi
	[ "$(id -u)" = 0 ] || fail 'Docker does not answer. Start it, or run this as root on Debian.'
	if ! command -v dockerd >/dev/null; then
		command -v apt-get >/dev/null || fail 'Docker is not installed. Install it and run this again.'
		say 'Installing docker.io …'
		apt-get update -qq
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io >"$work/apt.log" 2>&1 ||
			{ cat "$work/apt.log" >&2; fail 'docker.io could not be installed.'; }
	fi
	say 'Starting a Docker engine of its own …'
	export DOCKER_HOST=unix://$work/docker.sock
	# In a session of its own: Ctrl-C must not stop it before what runs in it.
	setsid dockerd --data-root "$work/data" --exec-root "$work/exec" -p "$work/docker.pid" -H "$DOCKER_HOST" \
		>"$work/dockerd.log" 2>&1 &
	dockerd_pid=$!
	for _ in $(seq 100); do
		if docker info >/dev/null 2>&1; then return; fi
		kill -0 "$dockerd_pid" 2>/dev/null || break
		sleep 0.2
	done
	tail -n 20 "$work/dockerd.log" >&2
	dockerd_pid=
	fail 'the Docker engine does not start.'
}

make_image() {
	local busybox root=$work/root
	busybox=$(command -v busybox || true)
	if [ -z "$busybox" ] || ldd "$busybox" >/dev/null 2>&1; then
		[ "$(id -u)" = 0 ] || fail 'A static busybox is needed: install busybox-static.'
		say 'Installing busybox-static …'
		apt-get update -qq
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends busybox-static >/dev/null 2>&1 ||
			fail 'busybox-static could not be installed.'
		busybox=$(command -v busybox)
	fi
	mkdir -p "$root"/{bin,tmp,etc,var/task,var/runtime,opt}
	cp "$busybox" "$root/bin/busybox"
	for tool in sh mv chmod mkdir cat ls env dirname; do ln -s busybox "$root/bin/$tool"; done
	# SCF starts its script with it.
	cp "$(command -v bash)" "$root/bin/bash"
	# The programs' libraries, and what resolves host names.
	local binary library
	for binary in .aws-sam/build/*/bootstrap target/image/server "$root/bin/bash"; do ldd "$binary"; done |
		grep -o '/[^ ]*' | sort -u >"$work/libraries"
	for library in libnss_files.so.2 libnss_dns.so.2 libresolv.so.2; do
		find /lib /usr/lib -name "$library" -path '*linux-gnu*' -print -quit
	done >>"$work/libraries"
	while read -r library; do
		mkdir -p "$root$(dirname "$library")"
		cp -L "$library" "$root$library"
	done <"$work/libraries"
	echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
	tar -C "$root" -c . | docker import --change 'WORKDIR /var/task' - "$image" >/dev/null
}

say 'Building with sam build …'
sam build --parameter-overrides "Architecture=$architecture" >"$work/build.log" 2>&1 || { cat "$work/build.log" >&2; exit 1; }
start_docker
make --no-print-directory build-server
say 'Making the base image …'
make_image
make --no-print-directory image BASE="$image" TAG="$server_image"
say 'Invoking the functions …'
SAM_IMAGE=$image cargo test --locked --test main -- --ignored --nocapture --test-threads 1 sam::
scf_image=
if [ "$architecture" = x86_64 ]; then
	make --no-print-directory scf
	scf_image=$image
	say 'Checking the package of the SCF web function …'
	cargo test --locked --test main -- --ignored --nocapture --test-threads 1 scf::
fi
say 'Running the server in containers …'
SERVER_IMAGE=$server_image SCF_IMAGE=$scf_image \
	cargo test --locked --test main -- --ignored --nocapture --test-threads 1 container::
say 'The deployed shapes hold.'
