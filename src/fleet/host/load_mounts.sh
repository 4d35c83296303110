# More for df than the root: all local file systems by their type, each device once. Images (squashfs, iso9660) are
# always full, and a file system in memory or one that shows another's files (overlay) is no disk. Goes between
# load.sh, which left us in /proc, and df.

nl='
'
here=' ext2 ext3 ext4 xfs btrfs zfs bcachefs f2fs jfs nilfs2 reiserfs reiser4 vfat msdos exfat ntfs ntfs3 fuseblk hfs hfsplus ufs '
kinds="ext[234]|xfs|btrfs|zfs|bcachefs|f2fs|jfs|nilfs2|reiserfs|reiser4|vfat|msdos|exfat|ntfs3?|hfs(plus)?|ufs"
kinds="$kinds|nfs4?|cifs|smb[0-9a-z]*|ncpfs|afs|coda|ceph|gfs2?|ocfs2|lustre|beegfs|9p|virtiofs|autofs|fuse[^ ]*"
lines=$(grep -E "^[^ ]+ [^ ]+ ($kinds) " mounts 2>/dev/null)
# No file name is to be made of their stars.
set -f
o=$IFS
IFS=$nl
# What lies under another server's file system, or behind it, is not looked at: it may hang.
remote=
for v in $lines; do
	v=${v#* }
	a=${v%% *}
	v=${v#* }
	case $here in *" ${v%% *} "*) ;; *) [ "$a" = / ] || remote="$remote$nl$a" ;; esac
done
seen=' ' i=0
for v in $lines; do
	b=${v%% *}
	v=${v#* }
	a=${v%% *}
	v=${v#* }
	case $here in *" ${v%% *} "*) ;; *) continue ;; esac
	if [ "$a" = / ]; then
		seen="$seen$b "
		printf 'mount\t%s\t/\n' "$b"
		continue
	fi
	# A snapshot of ZFS has its data set's files.
	case $b in *@*) continue ;; esac
	case $seen in *" $b "*) continue ;; esac
	for c in $remote; do
		case $a in "$c" | "$c"/*) continue 2 ;; esac
	done
	i=$((i + 1))
	if [ "$i" -gt 200 ]; then printf 'more\t\n'; break; fi
	seen="$seen$b "
	printf 'mount\t%s\t%s\n' "$b" "$a"
	# The kernel writes blanks, line ends and backslashes as \ooo, printf wants \0ooo.
	case $a in
	*\\*)
		n=
		while :; do
			case $a in *\\*) n="$n${a%%\\*}\\0" a=${a#*\\} ;; *) break ;; esac
		done
		a=$(printf '%bx' "$n$a")
		a=${a%x}
		;;
	esac
	set -- "$@" "$a"
done
IFS=$o
set +f
