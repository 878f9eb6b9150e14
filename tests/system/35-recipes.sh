#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Recipes come, go and are replaced in the store while it is mounted. A name means the newest; a file that is open, or mapped, or
# mounted keeps the bytes that it was opened with.
. "$(dirname "$0")/functions.sh"
requires_fuse
requires_program getfattr

make()
{
	head -c "$2" /dev/urandom > "$work/$1"
}
publish()
{
	smr -s "$work/store" chunk -q --name "$2" "$work/$1"
}
found()
{
	[ -e "$mnt/$1.img" ]
}
absent()
{
	[ ! -e "$mnt/$1.img" ]
}
is_now()
{
	[ "$(stat -c %s "$mnt/$1.img" 2> /dev/null)" = "$(stat -c %s "$work/$2")" ]
}
ino()
{
	stat -c %i "$mnt/$1.img"
}
digest()
{
	getfattr --only-values -n user.smr.digest "$mnt/$1.img" 2> /dev/null
}

make one 3000000
make two 5000000
make three 2000000
publish one a
publish three other
mnt=$work/mnt
mount_smrfs "$work/store" "$mnt"

# one that appears: at once, also in a directory that was listed and for a name that was asked for
[ "$(ls "$mnt")" = $'a.img\nother.img' ]
absent b
publish two b
wait_for 3 found b
same_bytes "$mnt/b.img" "$work/two"
[ "$(ls "$mnt")" = $'a.img\nb.img\nother.img' ]

# one that is replaced
old_ino=$(ino a)
old_digest=$(digest a)
[[ "$old_digest" =~ ^sha256:[0-9a-f]{64}$ ]] || die "digest: $old_digest"
exec 7< "$mnt/a.img"
head -c 100000 <&7 | cmp - <(head -c 100000 "$work/one")
publish two a
wait_for 4 is_now a two
same_bytes "$mnt/a.img" "$work/two"
[ "$(ino a)" -ne "$old_ino" ] || die "two images share an inode"
[ "$(digest a)" != "$old_digest" ]
[ "$(digest a)" != "$(digest b)" ] || die "the same bytes under two names are one recipe"
# the old one, from chunks that were not read yet
cmp <(tail -c +100001 "$work/one") - <&7
[ "$(stat -L -c %s /proc/self/fd/7)" -eq 3000000 ]

# and back: the recipe that is still open is the same node
publish one a
wait_for 4 is_now a one
[ "$(ino a)" -eq "$old_ino" ] || die "one recipe has two inodes"
exec 7<&-

# one that goes, while it is open; its chunks stay in the store, and its first read brought the recipe
exec 7< "$mnt/other.img"
head -c 1000 <&7 | cmp - <(head -c 1000 "$work/three")
smr -s "$work/store" rm -q other
wait_for 4 absent other
[ "$(ls "$mnt")" = $'a.img\nb.img' ]
cmp <(tail -c +1001 "$work/three") - <&7
exec 7<&-

# names that can be none
for name in a .img a.im img "a b.img" .hidden.img "$(printf 'x%.0s' {1..201}).img" a.img.img..; do
	[ ! -e "$mnt/$name" ] || die "there is a $name"
done
umount_smrfs "$mnt"
