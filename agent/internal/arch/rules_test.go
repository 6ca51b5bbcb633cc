package arch

// A rule says what some packages may not reach, by their own imports or
// through other packages of this module.
type rule struct {
	// packages are patterns of folders of this module: "./reader" is that
	// folder alone, "./icao/..." is it and everything below.
	packages []string
	// except takes folders out, by the same patterns.
	except []string
	// never are patterns of what may not be imported: folders of this module,
	// or import paths of others ("sync" is not "./sync").
	never []string
	// direct says that only what the packages import by themselves counts.
	direct bool
	// why is printed with a violation.
	why string
}

const (
	fyne = "fyne.io/fyne/v2/..."
	bolt = "go.etcd.io/bbolt/..."
	nats = "github.com/nats-io/..."
)

// rules is section 3 of the design. Before changing it to make a build pass,
// move the code to the room where it belongs.
var rules = []rule{
	{
		packages: []string{"./icao/..."},
		// Helpers of tests read vectors; the generator writes a source file and
		// is a program that nothing can import.
		except: []string{testHelpers, "./icao/internal/ec/gen"},
		never: []string{
			"./reader/...", "./sync/...", "./agent/...", "./ui/...", "./firmware-notes/...",
			"log/...", "net/...", "os/...", "C", "unsafe", bolt, nats, fyne,
		},
		why: "the standard is pure: bytes in, values out",
	},
	{
		packages: []string{"./icao/..."},
		never:    []string{"crypto/x509/..."},
		why:      "it refuses the keys that travel documents use, and drags in net: icao/cms has its own parser",
	},
	{
		packages: []string{"./icao/sm", "./icao/bac", "./icao/pace", "./icao/chipauth"},
		never:    []string{"./icao/lds"},
		why:      "protocols do not know the document",
	},
	{
		packages: []string{"./icao/chip"},
		never:    []string{"./icao/sm", "./icao/bac", "./icao/pace", "./icao/inspect"},
		why:      "the card side is written separately, so that one misreading cannot hide in both",
	},
	{
		packages: []string{"./reader", "./reader/pcsc", "./reader/serial"},
		never:    []string{"./icao/...", "./sync/...", "./agent/...", "./ui/..."},
		why:      "a reader carries bytes; it fits the protocols by the shape of its methods",
	},
	{
		packages: []string{"./reader/..."},
		never:    []string{"./sync/...", "./agent/...", "./ui/..."},
		why:      "readers serve the agent and do not know it",
	},
	{
		packages: []string{"./firmware-notes"},
		never:    []string{"./icao/...", "./reader/...", "./sync/...", "./agent/...", "./ui/..."},
		why:      "notes are data",
	},
	{
		packages: []string{"./..."},
		except:   []string{"./reader"},
		never:    []string{"./firmware-notes"},
		direct:   true,
		why:      "what a note says of a reader is applied in one place: reader.QuirkOf",
	},
	{
		packages: []string{"./sync/..."},
		except:   []string{"./sync/central", "./sync/cmd/..."},
		never:    []string{"./icao/...", "./reader/...", "./agent/...", "./ui/..."},
		why:      "the way to the insurer does not know cards",
	},
	{
		packages: []string{"./sync/central", "./sync/cmd/..."},
		never:    []string{"./reader/...", "./agent/...", "./ui/..."},
		why:      "the central service may re-verify evidence, no more",
	},
	{
		packages: []string{"./agent/client", "./agent/wire"},
		never:    []string{"./icao/...", "./reader/...", "./sync/..."},
		why:      "front ends link them",
	},
	{
		packages: []string{"./agent/..."},
		never:    []string{"./ui/...", fyne},
		why:      "the agent runs where there is no screen",
	},
	{
		packages: []string{"./ui/..."},
		except:   []string{"./ui/cmd/..."},
		never:    []string{"./icao/...", "./reader/...", "./sync/...", bolt, nats},
		why:      "the desk is a client of the local API",
	},
	{
		packages: []string{"./ui/model"},
		never:    []string{fyne},
		why:      "the desk's behaviour is tested without a screen",
	},
	{
		packages: []string{"./..."},
		except:   []string{testHelpers},
		never:    []string{"testing/..."},
		why:      "only packages named *test may import testing",
	},
}

// testHelpers stands for every package whose folder is named *test.
const testHelpers = "*test"

// toCome are folders that the rules name and that hold no Go file yet. When one
// does, the test asks for its line here to be deleted, so that a folder
// that is renamed later cannot slip out of its rule unseen.
var toCome = []string{}

// topLevel is everything that may lie at the top of the repository, besides
// dot-files and what git ignores.
var topLevel = []string{
	"agent", "firmware-notes", "icao", "reader", "sync", "ui",
	"LICENSE", "Makefile", "README.md", "go.mod", "go.sum",
}

// noGoFiles are folders that group packages and hold none.
var noGoFiles = []string{".", "./icao", "./sync"}

// clocks are the functions of package time that the pure core may not call.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
