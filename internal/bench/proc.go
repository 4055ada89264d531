package bench

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"time"
)

// peakMemory gives the most memory that was resident, in bytes; 0 where the system does not tell.
func (c *child) peakMemory() int64 {
	for line := range bytes.Lines(c.proc("status")) {
		if rest, ok := strings.CutPrefix(string(line), "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10
		}
	}
	return 0
}

// clockTick is the unit of CPU time in /proc: USER_HZ, 100 a second on every system that Go runs on.
const clockTick = time.Second / 100

// cpuTime gives the CPU time that the child has taken, in the kernel's part too; 0 where the system does not tell.
func (c *child) cpuTime() time.Duration { return parseCPUTime(c.proc("stat")) }

// parseCPUTime reads utime and stime, fields 14 and 15 of /proc/PID/stat (proc_pid_stat(5)). The second field is a name
// in brackets, which may hold spaces and brackets.
func parseCPUTime(stat []byte) time.Duration {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const utime, stime = 14 - 3, 15 - 3
	if len(fields) <= stime {
		return 0
	}
	user, _ := strconv.ParseInt(fields[utime], 10, 64)
	system, _ := strconv.ParseInt(fields[stime], 10, 64)
	return time.Duration(user+system) * clockTick
}

// proc reads what the system says about the child; nothing where it does not.
func (c *child) proc(file string) []byte {
	content, err := os.ReadFile("/proc/" + strconv.Itoa(c.command.Process.Pid) + "/" + file)
	if err != nil {
		return nil
	}
	return content
}
