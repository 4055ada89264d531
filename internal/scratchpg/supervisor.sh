# The supervisor of one throw-away PostgreSQL server.
#
# Usage: sh -c "$(cat supervisor.sh)" supervisor PROGRAMS FOLDER
#
# Works in FOLDER with the PostgreSQL programs in PROGRAMS. Each line of input is a
# task and perhaps a word; the answer is the task's exit status, on a line of its
# own. Where the input ends, because whoever holds its other end closed it or is
# gone, the server is ended at once and the folder removed. Tasks run one after
# another, so nothing is half made by then: a killed starter leaves nothing behind.

programs=$1
folder=$2

# Nobody may be left to take an answer. A handler, unlike '', is not inherited.
trap : PIPE

run() {
	program=$1
	shift
	"$programs/$program" "$@" </dev/null >>log 2>&1
}

# scatter has ext4 put every database into a block group of its own, which costs
# nothing elsewhere. Otherwise a new one looks for inodes where others were dropped
# just before, past all those that ext4 does not give out again for a minute or
# more: 200 ms for each database that a test makes, instead of 60.
scatter() { chattr +T data/base 2>/dev/null || :; }

while read -r task word; do
	case $task in
	init) run initdb -D data --no-sync --no-instructions -U consentd --auth=trust --encoding=UTF8 --locale=C && scatter ;;
	copy) run pg_basebackup -D data --write-recovery-conf --checkpoint=fast --wal-method=stream -d "$word" ;;
	start) run pg_ctl start -w -t 60 -D data -l log ;;
	stop) run pg_ctl stop -w -t 60 -D data -m "$word" ;;
	promote) run pg_ctl promote -w -t 60 -D data ;;
	*) false ;;
	esac
	echo $?
done

if [ -f data/postmaster.pid ]; then
	# Frozen, it would not hear the end. Its children end with it, frozen or not.
	read -r postmaster <data/postmaster.pid && kill -CONT "$postmaster"
	run pg_ctl stop -w -t 60 -D data -m immediate
fi
cd /
rm -rf "$folder"
