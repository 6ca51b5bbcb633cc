package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Settings is a [Policy] in words, as a configuration file has it. An empty field is
// its default.
type Settings struct {
	// ChipAuthenticity: a document that cannot prove that its chip is no copy: warn
	// (default) or refuse.
	ChipAuthenticity string
	// Revocation: nobody can tell whether the signer is revoked: warn_outdated (default:
	// warn when the issuer's list is outdated, accept when there is none), refuse, warn or
	// accept. A signer that is revoked is always refused.
	Revocation string
	// Weak: the proof rests on an algorithm or a key that is weak today: warn (default),
	// refuse or accept.
	Weak string
	// Expired: a document past its date: refuse (default) or warn.
	Expired string
	// BACAfterPACE: basic access control after the PACE that the chip offers has failed:
	// refuse (default) or warn.
	BACAfterPACE string
	// NoPhoto: a document without a photo, as those of small children: warn (default) or
	// refuse.
	NoPhoto string
	// CardQR, InsuranceQR, VNeID and Manual: whoever shows no chip, by the way in which
	// they say who they are: warn (default) or refuse.
	CardQR, InsuranceQR, VNeID, Manual string
}

// A SettingError says which setting has a value that it cannot have.
type SettingError struct {
	Key     string   // as in a configuration file: "bac_after_pace"
	Value   string   //
	Allowed []string // the default first
}

// Error names the setting, its value, and what it may be.
func (e *SettingError) Error() string {
	return fmt.Sprintf("policy: %s cannot be %q: want one of %s", e.Key, e.Value, strings.Join(e.Allowed, ", "))
}

// setting is one line of a policy.
type setting struct {
	key     string
	allowed []string // in the order of the values that set takes and get returns
	text    func(*Settings) *string
	set     func(p *Policy, i int)
	get     func(p Policy) int
}

// The words for what is done.
const (
	wordRefuse       = "refuse"
	wordWarn         = "warn"
	wordAccept       = "accept"
	wordWarnOutdated = "warn_outdated"
)

// choice is a setting with two values, of which the second is true.
func choice(key, off, on string, text func(*Settings) *string, field func(*Policy) *bool) setting {
	return setting{
		key: key, allowed: []string{off, on}, text: text,
		set: func(p *Policy, i int) { *field(p) = i == 1 },
		get: func(p Policy) int {
			if *field(&p) {
				return 1
			}
			return 0
		},
	}
}

// settings are all of them, in the order in which they are shown.
var settings = []setting{
	choice("chip_authenticity", wordWarn, wordRefuse, func(s *Settings) *string { return &s.ChipAuthenticity }, func(p *Policy) *bool { return &p.RequireChipAuthenticity }),
	{
		key: "revocation", allowed: []string{wordWarnOutdated, wordRefuse, wordWarn, wordAccept}, // as the constants are numbered
		text: func(s *Settings) *string { return &s.Revocation },
		set:  func(p *Policy, i int) { p.Revocation = Revocation(i) },
		get:  func(p Policy) int { return int(p.Revocation) },
	},
	{
		key: "weak", allowed: []string{wordWarn, wordRefuse, wordAccept},
		text: func(s *Settings) *string { return &s.Weak },
		set:  func(p *Policy, i int) { p.Weak = Weak(i) },
		get:  func(p Policy) int { return int(p.Weak) },
	},
	choice("expired", wordRefuse, wordWarn, func(s *Settings) *string { return &s.Expired }, func(p *Policy) *bool { return &p.AllowExpired }),
	choice("bac_after_pace", wordRefuse, wordWarn, func(s *Settings) *string { return &s.BACAfterPACE }, func(p *Policy) *bool { return &p.AllowBAC }),
	choice("no_photo", wordWarn, wordRefuse, func(s *Settings) *string { return &s.NoPhoto }, func(p *Policy) *bool { return &p.RefuseNoPhoto }),
	choice("card_qr", wordWarn, wordRefuse, func(s *Settings) *string { return &s.CardQR }, func(p *Policy) *bool { return &p.Refused.CardQR }),
	choice("insurance_qr", wordWarn, wordRefuse, func(s *Settings) *string { return &s.InsuranceQR }, func(p *Policy) *bool { return &p.Refused.InsuranceQR }),
	choice("vneid", wordWarn, wordRefuse, func(s *Settings) *string { return &s.VNeID }, func(p *Policy) *bool { return &p.Refused.VNeID }),
	choice("manual", wordWarn, wordRefuse, func(s *Settings) *string { return &s.Manual }, func(p *Policy) *bool { return &p.Refused.Manual }),
}

// Keys returns the names of all settings with the values that each may have, the
// default first: for the page that explains a configuration.
func Keys() (list []SettingError) {
	for _, s := range settings {
		list = append(list, SettingError{Key: s.key, Allowed: slices.Clone(s.allowed)})
	}
	return list
}

// Policy returns what the settings say. The error is a [*SettingError] for the first
// one that cannot be; the policy is the default then.
func (s Settings) Policy() (Policy, error) {
	var p Policy
	for _, line := range settings {
		value := *line.text(&s)
		if value == "" {
			continue
		}
		i := slices.Index(line.allowed, value)
		if i < 0 {
			return Policy{}, &SettingError{line.key, value, slices.Clone(line.allowed)}
		}
		line.set(&p, i)
	}
	return p, nil
}

// Settings returns the policy in words, every field filled in. A value that no
// setting has, which refuses wherever it matters, is "refuse".
func (p Policy) Settings() Settings {
	var s Settings
	for _, line := range settings {
		word := wordRefuse
		if i := line.get(p); i < len(line.allowed) {
			word = line.allowed[i]
		}
		*line.text(&s) = word
	}
	return s
}

// Diff says in what two policies differ, for the audit trail: "expired: refuse ->
// warn", in the order of [Keys]. It is empty when they do not.
func Diff(before, after Policy) (changes []string) {
	b, a := before.Settings(), after.Settings()
	for _, line := range settings {
		if old, now := *line.text(&b), *line.text(&a); old != now {
			changes = append(changes, fmt.Sprintf("%s: %s -> %s", line.key, old, now))
		}
	}
	return changes
}
