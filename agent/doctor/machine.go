package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/wire"
)

// When a disk is too full or too slow. A visit takes some 10 KB on disk, and its write must
// not make a queue at the desk.
const (
	lowDisk  = 1 << 30
	fullDisk = 64 << 20
	slowDisk = 250 * time.Millisecond
	writes   = 5
)

// Disk measures the free space and the speed of the disk that holds a directory: it
// writes a small file there five times, with all that a visit needs to survive a
// power cut, and removes it.
func Disk(dir string) Check { return disk(dir, free) }

func disk(dir string, free func(string) (uint64, error)) Check {
	return Check{ID: "disk", Title: "Disk", Run: func(ctx context.Context) []wire.Diagnosed {
		left, spaceErr := free(dir)
		took, err := writeTime(ctx, dir)
		values := []string{}
		if spaceErr == nil {
			values = append(values, "free_mb", strconv.FormatUint(left>>20, 10))
		}
		if err != nil {
			if errors.Is(err, fs.ErrPermission) {
				return one(Skipped("This user may not write in the data directory; the agent's user may."))
			}
			d := of(wire.LevelError, fault.New(fault.CannotRecord, nil))
			d.What = "Nothing can be written in the data directory."
			d.Why = "Visits cannot be recorded."
			return one(d)
		}
		values = append(values, "write_ms", strconv.FormatInt(took.Milliseconds(), 10))
		d := ok("There is room, and it is fast enough.", values...)
		switch {
		case spaceErr == nil && left < fullDisk:
			d.Level, d.What = wire.LevelError, fmt.Sprintf("Only %d MB are free.", left>>20)
			d.Why, d.Remedy = "Soon no visit can be recorded.", "Free disk space."
		case spaceErr == nil && left < lowDisk:
			d.Level, d.What = wire.LevelWarning, fmt.Sprintf("Only %d MB are free.", left>>20)
			d.Why, d.Remedy = "A station that is offline for weeks needs room for its visits.", "Free disk space."
		case took > slowDisk:
			d.Level, d.What = wire.LevelWarning, fmt.Sprintf("One write takes %d ms.", took.Milliseconds())
			d.Why, d.Remedy = "Every visit waits for the disk before the desk says \"recorded\".", "Look at what else uses the disk, or at its health."
		}
		if d.Level != wire.LevelOK {
			d.Page = fault.PagePath(fault.CannotRecord)
		}
		return one(d)
	}}
}

// writeTime returns the median time of a small durable write.
func writeTime(ctx context.Context, dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 4096)
	times := make([]time.Duration, 0, writes)
	for range writes {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		began := time.Now()
		if _, err := f.WriteAt(block, 0); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

// A Path is a file or directory whose permissions matter.
type Path struct {
	Name string
	// Secret: nobody but its owner (and its group, if Group) may read it.
	Secret bool
	Group  bool
	// With: it belongs to whom this one belongs, whose files the agent makes.
	With string
	// Root: it belongs to the system's administrator, so that no user can change it.
	Root bool
}

// Files looks at the permissions of files. One that is not there is fine: others look
// for that.
func Files(paths ...Path) Check {
	return Check{ID: "files", Title: "File permissions", Run: func(context.Context) []wire.Diagnosed {
		if runtime.GOOS == "windows" {
			return one(Skipped("Windows keeps permissions in access control lists; the setup sets them, `icacls` shows them."))
		}
		var found []wire.Diagnosed
		looked := 0
		for _, p := range paths {
			info, err := os.Lstat(p.Name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			base := filepath.Base(p.Name)
			if err != nil {
				if !errors.Is(err, fs.ErrPermission) {
					found = append(found, wire.Diagnosed{Level: wire.LevelWarning, What: base + " cannot be looked at.", Remedy: "Look at the disk."})
				}
				continue // somebody who may not even see it: as it should be
			}
			looked++
			mode := info.Mode()
			allowed := fs.FileMode(0o755)
			switch {
			case p.Secret && p.Group:
				allowed = 0o750
			case p.Secret:
				allowed = 0o700
			}
			switch {
			case mode&fs.ModeSymlink != 0:
				found = append(found, wire.Diagnosed{
					Level: wire.LevelWarning, What: base + " is a link to another file.",
					Why: "Whoever may change the link decides what is read.", Remedy: "Put the file itself there.",
				})
			case mode.Perm()&^allowed != 0:
				f := wire.Diagnosed{
					Level: wire.LevelError, What: fmt.Sprintf("%s has the permissions %04o.", base, mode.Perm()),
					Why: "Other users of this computer can change it.", Remedy: fmt.Sprintf("chmod %o on %s, and find out who used it.", mode.Perm()&allowed, p.Name),
					Page: fault.PagePath(fault.DataExposed),
				}
				if mode.Perm()&0o022&^allowed == 0 {
					f.Why = "Other users of this computer can read it."
				}
				found = append(found, f)
			case p.With != "" && !sameOwner(info, p.With):
				found = append(found, wire.Diagnosed{
					Level: wire.LevelError, What: base + " belongs to another account than its directory.",
					Why:    "The agent cannot read or write it: most likely a command was run as root.",
					Remedy: "chown --reference=" + p.With + " " + p.Name, Page: fault.PagePath(fault.BadKeyFile),
				})
			case p.Root && !ownedByRoot(info):
				found = append(found, wire.Diagnosed{
					Level: wire.LevelError, What: base + " does not belong to root.",
					Why: "A user can change what the administrator decided.", Remedy: "chown root:root " + p.Name,
				})
			}
		}
		if len(found) == 0 {
			found = append(found, ok("Nobody may read or change what is not theirs.", "looked_at", strconv.Itoa(looked)))
		}
		return found
	}}
}

// Port looks whether the local API can be reached at an address, and by whom it is
// taken if not: by an agent of ours, for which healthy returns nil, or by another
// program.
func Port(address string, healthy func(ctx context.Context) error) Check {
	return Check{ID: "api.port", Title: "Local API", Run: func(ctx context.Context) []wire.Diagnosed {
		values := pairs([]string{"address", address})
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", address)
		switch {
		case err == nil:
			l.Close()
			return one(wire.Diagnosed{
				Level: wire.LevelError, What: "No agent listens there.", Why: "Neither the desk nor an information system can reach one.",
				Remedy: "Start it: `chamthe service start`, or `chamthe run`.", Page: "agent/docs/config.md", Values: values,
			})
		case healthy(ctx) == nil:
			return one(wire.Diagnosed{Level: wire.LevelOK, What: "An agent answers there.", Values: values})
		}
		d := of(wire.LevelError, fault.New(fault.PortInUse, nil))
		d.What, d.Why = "Another program has the port of the local API, or the agent there does not answer.", "The agent cannot start, or nobody can reach it."
		d.Remedy = "Find the program (Linux: `ss -ltnp`, Windows: `netstat -abno`) and end it, or choose another port in the configuration."
		maps.Copy(d.Values, values)
		return one(d)
	}}
}

// System says which program this is and where it runs.
func System(version, revision string) Check {
	return Check{ID: "version", Title: "Program", Run: func(context.Context) []wire.Diagnosed {
		return one(ok("chamthe "+version, "version", version, "revision", revision, "go", runtime.Version(), "system", runtime.GOOS+"/"+runtime.GOARCH, "cpus", strconv.Itoa(runtime.NumCPU())))
	}}
}

// Config says whether the configuration can be used: load returns what is wrong with
// it, with file and line.
func Config(file string, load func() error) Check {
	return Check{ID: "config", Title: "Configuration", Run: func(context.Context) []wire.Diagnosed {
		err := load()
		if err == nil {
			return one(ok("It can be used.", "file", file))
		}
		return one(wire.Diagnosed{
			Level: wire.LevelError, What: strings.TrimSpace(err.Error()), Why: "The agent does not start with it.",
			Remedy: "Correct the lines; `chamthe config check` says whether it is right.", Page: "agent/docs/config.md", Values: pairs([]string{"file", file}),
		})
	}}
}
