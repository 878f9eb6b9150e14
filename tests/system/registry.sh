# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034,SC2154  # what functions set, tests use; functions.sh is there already
# What the tests of registries share; after functions.sh.

regpull=$BUILD_DIR/tests/system/regpull
# nothing of who runs the tests takes part
export HOME=$work/home DOCKER_CONFIG=$work/docker SMR_CACHE=$work/cache
unset XDG_CONFIG_HOME REGISTRY_AUTH_FILE SMR_AUTH_HOSTS SSL_CERT_FILE
export XDG_RUNTIME_DIR=$work/run
mkdir -p "$HOME" "$DOCKER_CONFIG" "$XDG_RUNTIME_DIR"

# start_registry [AUTH-YAML]: the real one, empty. Sets registry (HOST:PORT), registry_log.
start_registry()
{
	requires_program docker-registry skopeo python3
	local dir pid
	dir=$(mktemp -d "$work/registry.XXXX")
	free_port
	registry=127.0.0.1:$port
	registry_log=$dir/log
	cat > "$dir/config.yml" <<-END
		version: 0.1
		log: {level: info, accesslog: {disabled: false}}
		storage: {filesystem: {rootdirectory: $dir/data}, delete: {enabled: true}}
		http: {addr: "$registry"}
		${1-}
	END
	docker-registry serve "$dir/config.yml" > "$registry_log" 2>&1 &
	pid=$!
	cleanup_fn stop_process "$pid"
	registry_data=$dir/data
	wait_for 20 registry_answers
}

registry_answers()
{
	curl -s -o "$work/v2" "http://$registry/v2/"
}

# start_htpasswd_registry USER PASSWORD [MORE-YAML]
start_htpasswd_registry()
{
	requires_program htpasswd
	htpasswd -Bbn "$1" "$2" > "$work/htpasswd" 2> "$work/htpasswd.err"
	start_registry "auth: {htpasswd: {realm: smr, path: $work/htpasswd}}"$'\n'"${3-}"
}

# start_token_registry [TOKEN-SERVER-OPTION...]: with a token server of its own; user anna, password secret. Sets token_log too.
start_token_registry()
{
	local options=("$@")
	requires_program openssl python3
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=tokens -keyout "$work/token.key" -out "$work/token.crt" 2> /dev/null
	token_log=$work/token.log
	start_tool token_port "$here/regtoken.py" --key "$work/token.key" --cert "$work/token.crt" --issuer issuer \
		--user anna --password secret "${options[@]}" "$token_log"
	start_registry "auth: {token: {realm: \"http://127.0.0.1:$token_port/token\", service: smr, issuer: issuer,
		rootcertbundle: $work/token.crt}}"
}

# start_front [OPTION...]: regfront.py before $registry. Sets front (HOST:PORT) and front_log.
start_front()
{
	front_log=$(mktemp "$work/front.XXXX")
	start_tool front "$here/regfront.py" --upstream "$registry" "$@" "$front_log"
	front=127.0.0.1:$front
}

# faults JSON: what the front does to blobs from now on.
faults()
{
	printf '%s' "$1" > "$front_log.faults.new"
	mv "$front_log.faults.new" "$front_log.faults"
}

# front_count JQ-CONDITION: how many requests of the front it holds for.
front_count()
{
	jq -s "[.[] | select($1)] | length" "$front_log"
}

# start_tool VARIABLE PROGRAM ARG...: one that prints its port when it listens.
start_tool()
{
	local variable=$1 out pid
	shift
	out=$(mktemp "$work/tool.XXXX")
	"$@" > "$out" 2> "$out.err" &
	pid=$!
	cleanup_fn stop_process "$pid"
	wait_for 20 test -s "$out"
	printf -v "$variable" %s "$(cat "$out")"
}

# login FILE HOST USER PASSWORD: as docker and podman keep it.
login()
{
	mkdir -p "$(dirname "$1")"
	jq -n --arg host "$2" --arg auth "$(printf '%s:%s' "$3" "$4" | base64 -w0)" '{auths: {($host): {$auth}}}' > "$1"
}

# blob_requests: GETs of blobs that the registry answered with their bytes, since the last call of forget_requests.
blob_requests()
{
	tail -n +"$((registry_seen + 1))" "$registry_log" | grep -cE '"GET /v2/[^"]*/blobs/sha256:[0-9a-f]+ HTTP/[0-9.]+" 20[06] ' || true
}

registry_seen=0
forget_requests()
{
	registry_seen=$(wc -l < "$registry_log")
}

# make_app_layout DIR: an OCI layout of images that share a base, with real whiteouts: base, app, other. Needs make_rootfs.
make_app_layout()
{
	local layout=$1 tree=$work/bundle/rootfs
	umoci init --layout "$layout"
	umoci new --image "$layout:base"
	umoci config --image "$layout:base" --config.cmd /bin/bash --config.env A=b
	umoci unpack --image "$layout:base" "$work/bundle" > /dev/null 2>&1
	cp -a "$rootfs/." "$tree"
	repack "$layout:base"
	rm -rf "$tree/usr/share/doc" "$tree/usr/share/locale"
	mkdir -p "$tree/usr/share/doc/new" "$tree/odd/dir"
	echo new > "$tree/usr/share/doc/new/file"
	mkfifo "$tree/odd/fifo"
	mknod "$tree/odd/null" c 1 3
	mknod "$tree/odd/disk" b 259 65537
	ln "$tree/etc/passwd" "$tree/odd/dir/passwd"
	ln -s "$(printf 't%.0s' {1..3000})" "$tree/odd/long-link"
	: > "$tree/odd/$(printf 'not-utf-8-\377\376')"
	truncate -s 50M "$tree/odd/sparse"
	printf end >> "$tree/odd/sparse"
	setfattr -n user.binary -v 0x000a3d00ff "$tree/odd/dir"
	setcap cap_net_raw+ep "$tree/usr/bin/gpgv"
	chown 1000000000:4000000000 "$tree/odd/fifo"
	chmod 6755 "$tree/odd/sparse"
	touch -d '1955-11-05 06:15:00.25' "$tree/odd/dir/old"
	touch -d '2105-01-01 00:00:00.123456789' "$tree/odd/dir/new"
	repack "$layout:app"
	rm -rf "$work/bundle"
	umoci unpack --image "$layout:base" "$work/bundle" > /dev/null 2>&1
	head -c 3000000 /dev/urandom > "$tree/opt/other"
	repack "$layout:other"
	rm -rf "$work/bundle"
}

# repack LAYOUT:TAG: what was done to the bundle becomes a layer.
repack()
{
	umoci repack --image "$1" "$work/bundle" > /dev/null
	rm -rf "$work/bundle"
	umoci unpack --image "$1" "$work/bundle" > /dev/null 2>&1
}

# make_layout DIR [LAYERS [BYTES]]: an OCI image layout with incompressible layers, and its name: latest.
make_layout()
{
	python3 - "$1" "${2-3}" "${3-1000000}" <<-'END'
		import gzip, hashlib, io, json, os, random, sys, tarfile
		top, n, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
		os.makedirs(top + "/blobs/sha256", exist_ok=True)
		def put(data, kind):
		    d = hashlib.sha256(data).hexdigest()
		    open(f"{top}/blobs/sha256/{d}", "wb").write(data)
		    return {"mediaType": kind, "digest": "sha256:" + d, "size": len(data)}
		layers, ids = [], []
		for i in range(n):
		    raw = io.BytesIO()
		    with tarfile.open(fileobj=raw, mode="w") as t:
		        data = random.Random(i).randbytes(size)
		        info = tarfile.TarInfo(f"file{i}")
		        info.size = len(data)
		        t.addfile(info, io.BytesIO(data))
		    ids.append("sha256:" + hashlib.sha256(raw.getvalue()).hexdigest())
		    layers.append(put(gzip.compress(raw.getvalue(), 1, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip"))
		def image(arch, variant=None):
		    c = {"architecture": arch, "os": "linux", "rootfs": {"type": "layers", "diff_ids": ids}, "config": {"Cmd": [arch]}}
		    if variant: c["variant"] = variant
		    c = put(json.dumps(c).encode(), "application/vnd.oci.image.config.v1+json")
		    m = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": c, "layers": layers}
		    return put(json.dumps(m).encode(), "application/vnd.oci.image.manifest.v1+json")
		one = image("amd64")
		many = []
		for arch, variant in (("amd64", None), ("arm64", "v8"), ("arm", "v6"), ("arm", "v7")):
		    d = image(arch, variant)
		    d["platform"] = {"os": "linux", "architecture": arch}
		    if variant: d["platform"]["variant"] = variant
		    many.append(d)
		index = put(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
		    "manifests": many}).encode(), "application/vnd.oci.image.index.v1+json")
		one["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
		index["annotations"] = {"org.opencontainers.image.ref.name": "many"}
		json.dump({"schemaVersion": 2, "manifests": [one, index]}, open(top + "/index.json", "w"))
		json.dump({"imageLayoutVersion": "1.0.0"}, open(top + "/oci-layout", "w"))
	END
}

# push LAYOUT REPOSITORY[:TAG] [SKOPEO-OPTION...]
push()
{
	skopeo --insecure-policy copy -q --all --dest-tls-verify=false "${@:3}" "oci:$1" "docker://$registry/$2"
}

# said KEY: what the last pull printed.
said()
{
	awk -v key="$1" '$1 == key { print $2 }' "$work/pulled"
}

# pull OPTION... REFERENCE [DIR]: into $work/pulled.
pull()
{
	"$regpull" "$@" > "$work/pulled" 2> "$work/pull.err" || {
		cat "$work/pull.err" >&2
		return 1
	}
}

# blobs_are_those_of LAYOUT DIR: each layer that was pulled is byte for byte the one of the layout.
blobs_are_those_of()
{
	local n digest
	while read -r _ n digest _; do
		cmp "$2/$n" "$1/blobs/sha256/${digest#sha256:}"
	done < <(grep '^layer ' "$work/pulled")
	[ "$(grep -c '^layer ' "$work/pulled")" -eq "$(said layers)" ]
}
