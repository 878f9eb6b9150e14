#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A registry that wants tokens: anonymous ones, with a login, with a refresh token; tokens that end in the middle of a pull are
# renewed; the login goes to no token server that the registry has no business with.
. "$(dirname "$0")/functions.sh"
. "$here/registry.sh"
requires_program jq skopeo

start_token_registry --good 3 --refresh again-and-again
make_layout "$work/image" 6 1000000
push "$work/image:latest" team/app:1 --dest-creds anna:secret
push "$work/image:latest" public/app:1 --dest-creds anna:secret

# tokens JQ-CONDITION: how many requests of tokens it holds for, since the last forget_tokens
tokens()
{
	jq -s "[.[] | select($1)] | length" "$token_log"
}

: > "$token_log"
pull "$registry/public/app:1"
[ "$(tokens '.known == false and .scope == "repository:public/app:pull"')" -eq 1 ]
must_fail 'wants a login' "$regpull" "$registry/team/app:1"

login "$DOCKER_CONFIG/config.json" "$registry" anna wrong
must_fail 'does not accept the login' "$regpull" "$registry/team/app:1"
login "$DOCKER_CONFIG/config.json" "$registry" anna secret
: > "$token_log"
mkdir "$work/out"
pull "$registry/team/app:1" "$work/out"
blobs_are_those_of "$work/image" "$work/out"
[ "$(tokens '.known == true and .scope == "repository:team/app:pull"')" -eq 1 ] || die "not one token for one pull"

echo '{"auths": {"'"$registry"'": {"identitytoken": "again-and-again"}}}' > "$DOCKER_CONFIG/config.json"
: > "$token_log"
pull "$registry/team/app:1"
[ "$(tokens '.method == "POST" and .status == 200')" -eq 1 ]

echo "tokens that end meanwhile"
# The registry takes them for 3 seconds, while they claim 300. Two connections, layers of a megabyte in a second and a half:
# every layer begins, and many a one goes on, with a token that is not good any more.
login "$DOCKER_CONFIG/config.json" "$registry" anna secret
start_front
login "$DOCKER_CONFIG/config.json" "$front" anna secret
faults '{"rate": 700000, "cut": 600000}'
: > "$token_log"
pull --connections 2 "$front/team/app:1" "$work/out"
blobs_are_those_of "$work/image" "$work/out"
[ "$(tokens '.known == true')" -ge 2 ] || die "no token was renewed"
[ "$(front_count '.status == 401 and (.target | test("/blobs/"))')" -ge 1 ] || die "no token had ended"
[ "$(front_count '.authorization == "Basic"')" -eq 0 ] || die "the login went to the registry"

echo "realms of others"
# 127.0.0.1 is not localhost: to who asks for localhost, the token server is somebody else
other=localhost:${registry#*:}
login "$DOCKER_CONFIG/config.json" "$other" anna secret
: > "$token_log"
must_fail 'SMR_AUTH_HOSTS' "$regpull" "$other/team/app:1"
[ "$(tokens true)" -eq 0 ] || die "somebody else was asked for a token"
SMR_AUTH_HOSTS=example.org,127.0.0.1 pull "$other/team/app:1"
[ "$(tokens '.known == true')" -eq 1 ]
