package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/chamthe/chamthe/agent/fault"
	"github.com/chamthe/chamthe/agent/truststore"
	"github.com/chamthe/chamthe/icao/cms"
	"github.com/chamthe/chamthe/icao/trust"
)

func newTrust(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "trust",
		Short: "Whose signatures are believed: import, list and check issuers' certificates",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newTrustImport(e), newTrustList(e), newTrustShow(e), newTrustCheck(e))
	return c
}

// withArguments has a command take words that belong to no flag; see wrap.
var withArguments = map[string]string{takesArguments: ""}

// oneArgument asks for exactly one word, and does not repeat those that were
// given.
func oneArgument(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usagef("give %s, one", what)
		}
		return nil
	}
}

// storeFlags say where the store is, and in which form to print.
type storeFlags struct {
	dir    string
	asJSON bool
}

func (f *storeFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.dir, "dir", "", "`DIR` of the trust material (default: $"+trustVariable+", else chamthe/trust in the user's configuration)")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print one JSON document")
}

func (f *storeFlags) path() (string, error) {
	if f.dir != "" {
		return f.dir, nil
	}
	return trustDir()
}

// load reads the store; that there is none is told as a mistake in the command.
func (f *storeFlags) load(c *cobra.Command) (*truststore.Store, error) {
	dir, err := f.path()
	if err != nil {
		return nil, err
	}
	s, err := truststore.Load(c.Context(), dir)
	if errors.Is(err, truststore.ErrNone) {
		return nil, &usageError{err}
	}
	return s, err
}

func newTrustImport(e *env) *cobra.Command {
	var (
		store        storeFlags
		root, accept string
	)
	c := &cobra.Command{
		Use:   "import FILE...",
		Short: "Let certificates, master lists and revocation lists in, each with a reason",
		Long: `Import takes certificates of issuing authorities (CSCA) and their links, master
lists (.ml), revocation lists, defect and deviation lists, as DER, PEM, PKCS #7 or
LDIF of the ICAO PKD. It says for each piece whether it was accepted, and why.

Nothing enters without one of two words. Signatures: links and revocation lists
that a key in the directory signed, master lists below a root that was pinned
with --root, now or before. Or yours: --accept takes the self-signed certificates
of the files (never those of a master list) and records the reason with the time
and your user name. Compare the fingerprint that is printed with the one that the
state publishes.

Of the master lists of a state the newest counts: an older one is refused, and
one that comes later takes its place. The same again changes nothing. The exit status is not 0 if nothing at all of one
of the files was accepted.`,
		Example: `  chamthe trust import --root csca-germany.cer GermanMasterList.ml
  chamthe trust import vietnam.crl link.pem
  chamthe trust import csca-vietnam.der --accept "fingerprint read out by the ministry, letter of 2 March"`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 && root == "":
				return usagef("which file?")
			case len(args) == 0 && accept != "":
				return usagef("--accept needs a file")
			}
			return nil
		},
		Annotations: withArguments,
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("accept") && strings.TrimSpace(accept) == "" {
				return usagef("--accept: a reason is needed")
			}
			dir, err := store.path()
			if err != nil {
				return err
			}
			now := time.Now()
			r, err := truststore.Import(c.Context(), dir, &truststore.Request{Files: args, Root: root, Accept: accept, By: userName(), At: now})
			if r == nil {
				return err
			}
			if perr := printImport(e, dir, r, now, store.asJSON); perr != nil && err == nil {
				err = perr
			}
			return err
		},
	}
	store.add(c)
	c.Flags().StringVar(&root, "root", "", "pin the certificate in this `FILE`: master lists and defect lists below it are believed")
	c.Flags().StringVar(&accept, "accept", "", "accept the self-signed certificates on your own word, for this `REASON`")
	c.MarkFlagsMutuallyExclusive("root", "accept")
	return c
}

// userName is who sits here, for the record.
func userName() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	for _, name := range []string{"USER", "USERNAME"} {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	return "unknown"
}

// trustPiece is a piece of trust material in JSON.
type trustPiece struct {
	ID         string `json:"id,omitempty"` // SHA-256; of a certificate its fingerprint
	Kind       string `json:"kind"`         // certificate, link_certificate, revocation_list, master_list, defect_list, deviation_list, unknown
	Pinned     bool   `json:"pinned,omitempty"`
	Country    string `json:"country,omitempty"`
	Subject    string `json:"subject,omitempty"` // of a revocation list its issuer
	NotBefore  string `json:"not_before,omitempty"`
	NotAfter   string `json:"not_after,omitempty"` // of a revocation list when the next is due
	Dated      string `json:"dated,omitempty"`     // when its list was signed
	AgeDays    *int   `json:"age_days,omitempty"`  // since it was dated, else imported
	Source     string `json:"source,omitempty"`
	Where      string `json:"where,omitempty"`
	Imported   string `json:"imported,omitempty"`
	By         string `json:"by,omitempty"`
	Accept     string `json:"accept,omitempty"` // the administrator's reason
	Accepted   bool   `json:"accepted"`
	Why        string `json:"why"`
	Detail     string `json:"detail,omitempty"`
	Entries    int    `json:"entries,omitempty"` // of a master list
	Unreadable int    `json:"unreadable,omitempty"`
}

// trustSource is a file in JSON.
type trustSource struct {
	Name            string       `json:"name"`
	SHA256          string       `json:"sha256"`
	Size            int64        `json:"size"`
	Dated           string       `json:"dated,omitempty"`
	AgeDays         *int         `json:"age_days,omitempty"` // since it was signed, else imported
	Imported        string       `json:"imported"`
	By              string       `json:"by"`
	Accept          string       `json:"accept,omitempty"`
	Accepted        int          `json:"accepted"`
	Refused         int          `json:"refused"`
	DocumentSigners int          `json:"document_signers,omitempty"` // left out
	Pieces          []trustPiece `json:"pieces,omitempty"`
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func day(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}

// daysOld is the age in whole days, nil if the date is not known.
func daysOld(t, now time.Time) *int {
	if t.IsZero() {
		return nil
	}
	days := int(now.Sub(t) / (24 * time.Hour))
	return &days
}

func kindOf(p *truststore.Piece) string {
	if p.Certificate != nil && !p.Certificate.SelfSigned() {
		return "link_certificate"
	}
	return strings.ReplaceAll(p.Kind.String(), " ", "_")
}

// encodePiece describes a piece; src is where it came from, nil if that is told
// elsewhere.
func encodePiece(p *truststore.Piece, src *truststore.Source, now time.Time) trustPiece {
	v := trustPiece{
		ID: p.ID, Kind: kindOf(p), Where: printable(p.Where), Accepted: p.Accepted, Why: string(p.Why),
		Dated: moment(p.Dated), AgeDays: daysOld(p.Dated, now), Entries: len(p.Entries), Unreadable: p.Unreadable,
	}
	switch {
	case p.Certificate != nil:
		c := p.Certificate
		v.Country, v.Subject, v.NotBefore, v.NotAfter = c.SubjectCountry(), printable(c.Subject.String()), moment(c.NotBefore), moment(c.NotAfter)
	case p.CRL != nil:
		v.Country, v.Subject, v.NotBefore, v.NotAfter = p.CRL.Issuer.Country(), printable(p.CRL.Issuer.String()), moment(p.CRL.ThisUpdate), moment(p.CRL.NextUpdate)
	}
	if p.Err != nil {
		v.Detail = printable(p.Err.Error())
	}
	if src != nil {
		v.Source, v.Imported, v.By, v.Accept = printable(src.Name), moment(src.Added), printable(src.By), printable(src.Accept)
		if v.AgeDays == nil {
			v.AgeDays = daysOld(src.Added, now)
		}
	}
	return v
}

// encodeSource describes a file, without its pieces.
func encodeSource(src *truststore.Source, now time.Time) trustSource {
	v := trustSource{
		Name: printable(src.Name), SHA256: src.SHA256, Size: src.Size, Imported: moment(src.Added), By: printable(src.By), Accept: printable(src.Accept),
		AgeDays: daysOld(src.Added, now), DocumentSigners: src.Signers,
	}
	for p := range src.All() {
		if p.Accepted {
			v.Accepted++
		} else {
			v.Refused++
		}
	}
	if dated := sourceDate(src); !dated.IsZero() {
		v.Dated, v.AgeDays = moment(dated), daysOld(dated, now)
	}
	return v
}

// sourceDate is the date of the newest list in a file.
func sourceDate(src *truststore.Source) (dated time.Time) {
	for _, p := range src.Pieces {
		if p.Dated.After(dated) {
			dated = p.Dated
		}
	}
	return dated
}

func encodeRoot(r *truststore.Root, now time.Time) trustPiece {
	v := encodePiece(&truststore.Piece{
		Kind: trust.KindCertificate, ID: r.ID, Certificate: r.Certificate, Accepted: true, Why: trust.ByAdministrator,
	}, nil, now)
	v.Pinned, v.Source, v.Imported, v.By = true, printable(r.Name), moment(r.Pinned), printable(r.By)
	v.AgeDays = daysOld(r.Pinned, now)
	return v
}

// whys are the reasons in words.
var whys = map[trust.Reason]string{
	trust.ByAdministrator: "on the administrator's word", trust.ByMasterList: "on the word of a master list under a pinned root",
	trust.ByLink: "signed by a key that is trusted", trust.BySignature: "signed by a key that is trusted", trust.ByPossession: "already there",

	trust.NotVouched:         "nobody vouches for it: use --accept, or a master list that has it",
	trust.Unreadable:         "cannot be read",
	trust.Unsupported:        "of an algorithm or key that is not known here",
	trust.NoIssuer:           "its issuer is not there",
	trust.SignatureInvalid:   "the signature does not hold",
	trust.NotCA:              "not the certificate of an authority",
	trust.OtherState:         "in the name of another state than its signer's",
	trust.SignerNotAllowed:   "its signer may not sign such lists",
	trust.SignerNotTrusted:   "its signer is below no pinned root: use --root",
	trust.SignerNotValid:     "its signer has expired, or is not yet valid",
	trust.SignerRevoked:      "its signer is revoked",
	trust.Older:              "a newer one is there",
	trust.DeltaCRL:           "a list of changes only",
	trust.IndirectCRL:        "a list of several issuers",
	trust.PartialCRL:         "a list of a part of the certificates",
	trust.ChangeRecord:       "a record that changes or deletes",
	trust.ReferenceElsewhere: "a value that lies elsewhere",
}

func because(r trust.Reason) string {
	if s, ok := whys[r]; ok {
		return s
	}
	return string(r)
}

func age(days *int) string {
	switch {
	case days == nil:
		return "age unknown"
	case *days == 1:
		return "1 day old"
	}
	return fmt.Sprintf("%d days old", *days)
}

func printImport(e *env, dir string, r *truststore.Report, now time.Time, asJSON bool) error {
	if asJSON {
		v := struct {
			Directory string        `json:"directory"`
			Root      *trustPiece   `json:"root,omitempty"`
			Pinned    bool          `json:"pinned"` // by this import
			Added     int           `json:"added"`  // pieces that are new; a list counts as one
			Sources   []trustSource `json:"sources"`
		}{Directory: dir, Pinned: r.Pinned, Added: r.Added, Sources: []trustSource{}}
		if r.Root != nil {
			root := encodeRoot(r.Root, now)
			v.Root = &root
		}
		for _, src := range r.Sources {
			s := encodeSource(src, now)
			for p := range src.All() {
				s.Pieces = append(s.Pieces, encodePiece(p, nil, now))
			}
			v.Sources = append(v.Sources, s)
		}
		return writeJSON(e.stdout, v)
	}
	var b strings.Builder
	if r.Root != nil {
		word := "already pinned"
		if r.Pinned {
			word = "pinned on your word"
		}
		fmt.Fprintf(&b, "root     %s (%s)\n  SHA-256 %s\n", printable(r.Root.Certificate.Subject.String()), word, r.Root.ID)
	}
	for _, src := range r.Sources {
		printSource(&b, src, now)
	}
	switch {
	case r.Added > 0 || r.Pinned:
		fmt.Fprintf(&b, "recorded in %s\n", dir)
	case len(r.Sources) > 0:
		fmt.Fprintf(&b, "nothing is new in %s\n", dir)
	}
	_, err := io.WriteString(e.stdout, b.String())
	return err
}

// few is how many accepted pieces are told one by one, of more there is a
// summary; many is how many refused ones are. --json has all.
const (
	few  = 20
	many = 200
)

func printSource(b *strings.Builder, src *truststore.Source, now time.Time) {
	v := encodeSource(src, now)
	fmt.Fprintf(b, "file     %s", v.Name)
	if v.Dated != "" {
		fmt.Fprintf(b, ", of %s, %s", v.Dated[:10], age(v.AgeDays))
	}
	fmt.Fprintf(b, ": %d read, %d accepted, %d refused\n", v.Accepted+v.Refused, v.Accepted, v.Refused)
	why := make(map[trust.Reason]int)
	refused := 0
	for p := range src.All() {
		switch {
		case !p.Accepted:
			if refused++; refused > many {
				continue
			}
			fmt.Fprintf(b, "  [X] %s: %s\n", describe(p), because(p.Why))
		case v.Accepted <= few:
			fmt.Fprintf(b, "  [+] %s: %s\n", describe(p), because(p.Why))
		default:
			why[p.Why]++
		}
		if p.Kind == trust.KindMasterList && p.Accepted {
			fmt.Fprintf(b, "      with %d certificates", len(p.Entries)+p.Unreadable)
			if p.Unreadable > 0 {
				fmt.Fprintf(b, ", of which %d cannot be read", p.Unreadable)
			}
			fmt.Fprintln(b)
		}
	}
	if refused > many {
		fmt.Fprintf(b, "  [X] and %d more, which --json lists\n", refused-many)
	}
	for _, r := range []trust.Reason{trust.ByAdministrator, trust.ByMasterList, trust.ByLink, trust.BySignature, trust.ByPossession} {
		if why[r] > 0 {
			name := because(r)
			if r == trust.ByLink {
				name = "link certificates " + name
			}
			fmt.Fprintf(b, "  [+] %d %s\n", why[r], name)
		}
	}
	if src.Signers > 0 {
		fmt.Fprintf(b, "      %d certificates of document signers are left out: documents bring them\n", src.Signers)
	}
}

// describe names a piece in one line.
func describe(p *truststore.Piece) string {
	name := strings.ReplaceAll(kindOf(p), "_", " ")
	switch {
	case p.Certificate != nil:
		name += " " + printable(p.Certificate.Subject.String())
	case p.CRL != nil:
		name += " of " + printable(p.CRL.Issuer.String())
	}
	if p.ID != "" {
		name += " (" + short(p.ID) + ")"
	}
	if p.Where != "" {
		name += ", " + printable(p.Where)
	}
	return name
}

func short(id string) string { return id[:12] }

// trustItem is a piece of the store with its origin.
type trustItem struct {
	piece *truststore.Piece
	trustPiece
}

// trustItems lists what a store holds, once each; refused is what came with a
// list and was not accepted.
func trustItems(s *truststore.Store, now time.Time, refused bool) []trustItem {
	var list []trustItem
	seen := make(map[string]bool)
	for i := range s.Roots {
		r := &s.Roots[i]
		seen[r.ID] = true
		p := &truststore.Piece{Kind: trust.KindCertificate, ID: r.ID, Certificate: r.Certificate, Accepted: true, Why: trust.ByAdministrator}
		list = append(list, trustItem{p, encodeRoot(r, now)})
	}
	for _, src := range s.Sources {
		for p := range src.All() {
			if p.ID == "" || seen[p.ID] || !p.Accepted && !refused {
				continue
			}
			seen[p.ID] = true
			list = append(list, trustItem{p, encodePiece(p, src, now)})
		}
	}
	return list
}

func newTrustList(e *env) *cobra.Command {
	var (
		store   storeFlags
		country string
	)
	c := &cobra.Command{
		Use:     "list",
		Short:   "List what is trusted, where it came from and how old it is",
		Example: "  chamthe trust list\n  chamthe trust list --country VN",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := store.load(c)
			if err != nil {
				return err
			}
			now := time.Now()
			list := trustItems(s, now, false)
			if country != "" {
				list = slices.DeleteFunc(list, func(i trustItem) bool { return !strings.EqualFold(i.Country, country) })
			}
			if store.asJSON {
				v := struct {
					Directory string        `json:"directory"`
					Sources   []trustSource `json:"sources"`
					Items     []trustPiece  `json:"items"`
				}{s.Dir, encodeSources(s, now), []trustPiece{}}
				for _, i := range list {
					v.Items = append(v.Items, i.trustPiece)
				}
				return writeJSON(e.stdout, v)
			}
			w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "ID\tKIND\tSTATE\tUNTIL\tSOURCE\tAGE\tTRUSTED")
			for _, i := range list {
				kind, until, old := strings.ReplaceAll(i.Kind, "_", " "), "-", "-"
				if i.Pinned {
					kind = "pinned root"
				}
				if i.NotAfter != "" {
					until = i.NotAfter[:10]
				}
				if i.AgeDays != nil {
					old = fmt.Sprintf("%d days", *i.AgeDays)
				}
				state := i.Country
				if state == "" {
					state = "-"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", short(i.ID), kind, state, until, i.Source, old, because(i.piece.Why))
			}
			return w.Flush()
		},
	}
	store.add(c)
	c.Flags().StringVar(&country, "country", "", "only of this state: two letters (`CODE`)")
	return c
}

func encodeSources(s *truststore.Store, now time.Time) []trustSource {
	list := []trustSource{}
	for _, src := range s.Sources {
		list = append(list, encodeSource(src, now))
	}
	return list
}

// minID is how many digits of an identifier are needed at least.
const minID = 4

func newTrustShow(e *env) *cobra.Command {
	var store storeFlags
	c := &cobra.Command{
		Use:         "show ID",
		Short:       "Show one certificate or list, and why it is trusted",
		Long:        "Show prints what is known about one certificate or list, by the beginning of its\nidentifier, which is the SHA-256 of the certificate (\"chamthe trust list\").",
		Example:     "  chamthe trust show 2084aed7a991",
		Args:        oneArgument("an identifier"),
		Annotations: withArguments,
		RunE: func(c *cobra.Command, args []string) error {
			id := strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(args[0]))
			if len(id) < minID || strings.Trim(id, "0123456789abcdef") != "" {
				return usagef("an identifier has %d to 64 hexadecimal digits", minID)
			}
			s, err := store.load(c)
			if err != nil {
				return err
			}
			var found []trustItem
			for _, i := range trustItems(s, time.Now(), true) {
				if strings.HasPrefix(i.ID, id) {
					found = append(found, i)
				}
			}
			switch len(found) {
			case 0:
				return usagef("nothing of that identifier is in %s", s.Dir)
			case 1:
				return printItem(e, s, found[0], store.asJSON)
			}
			return usagef("%d identifiers begin like that: give more digits", len(found))
		},
	}
	store.add(c)
	return c
}

// trustDetail is one piece in JSON.
type trustDetail struct {
	trustPiece
	Issuer      string   `json:"issuer,omitempty"`
	Serial      string   `json:"serial,omitempty"`
	Key         string   `json:"key,omitempty"`
	Algorithm   string   `json:"algorithm,omitempty"`
	KeyID       string   `json:"key_id,omitempty"`
	IssuerKeyID string   `json:"issuer_key_id,omitempty"`
	Chain       []string `json:"chain,omitempty"` // identifiers, from the issuer to the root of the store
	CRL         string   `json:"crl,omitempty"`   // the revocation list that speaks for its authority
	Revoked     int      `json:"revoked,omitempty"`
	Deviations  []string `json:"deviations,omitempty"`
}

func printItem(e *env, s *truststore.Store, i trustItem, asJSON bool) error {
	d := trustDetail{trustPiece: i.trustPiece}
	switch c, l := i.piece.Certificate, i.piece.CRL; {
	case c != nil:
		d.Issuer, d.Serial, d.Algorithm = printable(c.Issuer.String()), fmt.Sprintf("%x", c.SerialNumber), c.SignatureAlgorithm.String()
		d.KeyID, d.IssuerKeyID, d.Deviations = fmt.Sprintf("%x", c.SubjectKeyID), fmt.Sprintf("%x", c.AuthorityKeyID), c.Deviations
		if c.PublicKey != nil {
			d.Key = c.PublicKey.String()
		}
		d.Chain, d.CRL = chainOf(s.Pool, c)
	case l != nil:
		d.Algorithm, d.IssuerKeyID, d.Deviations, d.Revoked = l.SignatureAlgorithm.String(), fmt.Sprintf("%x", l.AuthorityKeyID), l.Deviations, l.Len()
	}
	if asJSON {
		return writeJSON(e.stdout, d)
	}
	var b strings.Builder
	verdict := "trusted: " + because(i.piece.Why)
	if i.Pinned {
		verdict = "pinned root: lists below it are believed"
	} else if !i.Accepted {
		verdict = "NOT trusted: " + because(i.piece.Why)
	}
	validity := ""
	if d.NotBefore != "" {
		validity = d.NotBefore[:10] + " to "
		if d.NotAfter == "" {
			validity += "(not said)"
		} else {
			validity += d.NotAfter[:10]
		}
	}
	lines := [][2]string{
		{"SHA-256", d.ID},
		{"kind", strings.ReplaceAll(d.Kind, "_", " ")},
		{"", verdict},
		{"reason", d.Accept},
		{"source", strings.TrimSuffix(d.Source+", "+d.Where, ", ")},
	}
	if d.Dated != "" {
		lines = append(lines, [2]string{"dated", d.Dated[:10] + ", " + age(d.AgeDays)})
	}
	if d.Imported != "" {
		imported := d.Imported + " by " + d.By
		if d.Dated == "" {
			imported += ", " + age(d.AgeDays)
		}
		lines = append(lines, [2]string{"imported", imported})
	}
	lines = append(lines, [][2]string{
		{"subject", d.Subject},
		{"issuer", d.Issuer},
		{"serial", d.Serial},
		{"valid", validity},
		{"key", d.Key},
		{"algorithm", d.Algorithm},
		{"key id", d.KeyID},
		{"issuer key", d.IssuerKeyID},
		{"chain", strings.Join(d.Chain, "\n             ")},
		{"crl", d.CRL},
	}...)
	if i.piece.CRL != nil {
		lines = append(lines, [2]string{"revoked", fmt.Sprintf("%d certificates", d.Revoked)})
	}
	if d.Entries+d.Unreadable > 0 {
		lines = append(lines, [2]string{"holds", fmt.Sprintf("%d certificates", d.Entries+d.Unreadable)})
	}
	lines = append(lines, [2]string{"deviations", strings.Join(d.Deviations, ", ")}, [2]string{"detail", d.Detail})
	for _, l := range lines {
		if l[1] != "" {
			fmt.Fprintf(&b, "%-12s %s\n", l[0], l[1])
		}
	}
	_, err := io.WriteString(e.stdout, b.String())
	return err
}

// chainOf returns the issuers of an anchor up to a root, and the revocation list
// that speaks for it.
func chainOf(pool *trust.Pool, c *cms.Certificate) (chain []string, crl string) {
	ids := make(map[*trust.Anchor]string)
	i := slices.IndexFunc(pool.Anchors(), func(a *trust.Anchor) bool { return slices.Equal(a.Certificate.Raw, c.Raw) })
	if i < 0 {
		return nil, ""
	}
	a := pool.Anchors()[i]
	if l := pool.RevocationList(a); l != nil {
		crl = fmt.Sprintf("of %s, from %s", day(l.CRL.ThisUpdate), printable(l.Source))
	}
	for a = a.Issuer; a != nil && ids[a] == ""; a = a.Issuer {
		ids[a] = truststore.Fingerprint(a.Certificate)
		chain = append(chain, ids[a])
	}
	return chain, crl
}

// findings are what check finds, in words.
var findings = map[string]string{
	truststore.RootExpired:      "pinned root is not valid: no new list can be verified under it",
	truststore.StateExpired:     "no certificate of this state is valid",
	truststore.Expired:          "certificate has expired; documents of its time may still need it",
	truststore.NotYetValid:      "certificate is not valid yet",
	truststore.Revoked:          "certificate is revoked by its own authority",
	truststore.CRLOutdated:      "revocation list is outdated",
	truststore.ListOld:          "master list is more than a year old",
	truststore.LinkWithoutRoot:  "link certificate without its issuer: not used",
	truststore.NoLongerAccepted: "accepted once, refused by this version: not used",
}

func newTrustCheck(e *env) *cobra.Command {
	var (
		store storeFlags
		on    string
	)
	c := &cobra.Command{
		Use:   "check",
		Short: "Say what is expired, outdated or without an issuer, and how old the sources are",
		Long: fmt.Sprintf(`Check verifies every signature in the directory again and lists what somebody may
wish to know. Lines that begin with an exclamation mark need attention, and the
exit status is %d then.`, fault.About(fault.TrustAttention).Exit),
		Example: "  chamthe trust check\n  chamthe trust check --at 2027-06-30",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			at := time.Now()
			if on != "" {
				var err error
				if at, err = time.Parse(time.DateOnly, on); err != nil {
					return usagef("--at: want yyyy-mm-dd")
				}
			}
			s, err := store.load(c)
			if err != nil {
				return err
			}
			found := s.Check(at)
			if err := printFindings(e, s, found, at, store.asJSON); err != nil {
				return err
			}
			if truststore.NeedsAttention(found) {
				return fault.New(fault.TrustAttention, nil)
			}
			return nil
		},
	}
	store.add(c)
	c.Flags().StringVar(&on, "at", "", "judge as of this `DATE`, yyyy-mm-dd (default: now)")
	return c
}

func printFindings(e *env, s *truststore.Store, found []truststore.Finding, at time.Time, asJSON bool) error {
	type finding struct {
		What      string `json:"what"`
		Attention bool   `json:"attention"`
		Country   string `json:"country,omitempty"`
		ID        string `json:"id,omitempty"`
		Name      string `json:"name,omitempty"`
		When      string `json:"when,omitempty"`
	}
	list := []finding{}
	for _, f := range found {
		v := finding{What: f.What, Attention: f.Attention, Country: f.Country, When: moment(f.When)}
		if p := f.Piece; p != nil {
			v.ID = p.ID
			switch {
			case p.Certificate != nil:
				v.Name = printable(p.Certificate.Subject.String())
			case p.CRL != nil:
				v.Name = printable(p.CRL.Issuer.String())
			case f.Source != nil:
				v.Name = printable(f.Source.Name)
			}
		}
		list = append(list, v)
	}
	if asJSON {
		return writeJSON(e.stdout, struct {
			Directory string        `json:"directory"`
			At        string        `json:"at"`
			Anchors   int           `json:"anchors"`
			Sources   []trustSource `json:"sources"`
			Attention bool          `json:"attention"`
			Findings  []finding     `json:"findings"`
		}{s.Dir, moment(at), s.Pool.Len(), encodeSources(s, at), truststore.NeedsAttention(found), list})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s as of %s: %d certificates, %d pinned\n", filepath.Clean(s.Dir), day(at), s.Pool.Len(), len(s.Roots))
	for _, src := range encodeSources(s, at) {
		dated := "imported " + src.Imported[:10]
		if src.Dated != "" {
			dated = "of " + src.Dated[:10]
		}
		fmt.Fprintf(&b, "  source %s, %s, %s: %d accepted, by %s\n", src.Name, dated, age(src.AgeDays), src.Accepted, src.By)
	}
	for _, v := range list {
		mark := " "
		if v.Attention {
			mark = "!"
		}
		fmt.Fprintf(&b, "%s %s", mark, findings[v.What])
		if v.When != "" {
			fmt.Fprintf(&b, " (%s)", v.When[:10])
		}
		who := v.Name
		if who == "" {
			who = v.Country
		}
		fmt.Fprintf(&b, ": %s", who)
		if v.ID != "" {
			fmt.Fprintf(&b, " %s", short(v.ID))
		}
		fmt.Fprintln(&b)
	}
	if !truststore.NeedsAttention(found) {
		fmt.Fprintln(&b, "nothing needs attention")
	}
	_, err := io.WriteString(e.stdout, b.String())
	return err
}
