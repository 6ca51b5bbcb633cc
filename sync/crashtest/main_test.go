package crashtest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

const (
	roleVar   = "CHAMTHE_CRASH_ROLE" // set for a process in another role
	configVar = "CHAMTHE_CRASH_ROLE_CONFIG"
	killsVar  = "CHAMTHE_CRASH_KILLS" // how often to kill the agent
)

// defaultKills are those of the ordinary tests.
const defaultKills = 50

// roles are what this binary can be besides a test.
var roles = map[string]func(config) error{
	"agent":   beAgent,
	"server":  beServer,
	"drainer": beDrainer,
	"starter": beStarter,
}

// config tells a process in another role what to do.
type config struct {
	Dir     string   // of its files
	URLs    []string // of the servers
	Seed    string   // the agent's key
	Visit   string   // a file with the visit to record
	Record  bool     // or only send what is there
	Name    string   // of a server
	Port    int      // of a server, for clients
	Cluster int      // for the other servers; 0: there are none
	Routes  []string
	Workers int // of a central service
}

// total is what the last line says.
var total tally

type tally struct {
	sync.Mutex
	kills, recorded, accepted, lost, doubled int
}

func (t *tally) add(o *tally) {
	t.Lock()
	defer t.Unlock()
	t.kills += o.kills
	t.recorded += o.recorded
	t.accepted += o.accepted
	t.lost += o.lost
	t.doubled += o.doubled
}

func (t *tally) String() string {
	return fmt.Sprintf("kills %d, recorded %d, accepted %d, lost %d, doubled %d", t.kills, t.recorded, t.accepted, t.lost, t.doubled)
}

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		os.Exit(be(role))
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if total.kills > 0 {
		fmt.Println(&total)
	}
	os.Exit(code)
}

func be(role string) int {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0) // the test has gone
	}()
	var c config
	err := json.Unmarshal([]byte(os.Getenv(configVar)), &c)
	if err == nil {
		err = roles[role](c)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", role, err)
		return 1
	}
	return 0
}

// kills returns how often to kill the agent.
func kills(t *testing.T) int {
	t.Helper()
	s := os.Getenv(killsVar)
	if s == "" {
		return defaultKills
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: not a number of kills", killsVar, s)
	}
	return n
}

// child is this binary in another role.
type child struct {
	t     testing.TB
	cmd   *exec.Cmd
	in    io.Closer
	lines chan []string // what it says, split at spaces; closed at its end
	reap  func()
}

// spawn starts this binary in a role. The end of the test ends it.
func spawn(t testing.TB, role string, c config) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), roleVar+"="+role, configVar+"="+string(b))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ch := &child{t: t, cmd: cmd, in: in, lines: make(chan []string, 1<<16)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(ch.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			ch.lines <- strings.Fields(s.Text())
		}
	}()
	ch.reap = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		for range ch.lines { // so that the reader comes to its end
		}
		<-read
		_ = cmd.Wait() // killed
		_ = in.Close()
	})
	t.Cleanup(ch.reap)
	return ch
}

// kill ends the process with SIGKILL and calls fn with everything that it had
// said and nobody had taken.
func (c *child) kill(fn func([]string)) {
	c.t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		c.t.Errorf("kill: %v", err) // it had ended by itself
	}
	for line := range c.lines {
		fn(line)
	}
	c.reap()
}

// say tells the test something, in one write.
func say(words ...any) { fmt.Fprintln(os.Stdout, words...) }
