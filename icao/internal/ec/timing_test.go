package ec

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// A test of constant time by measurement, as Reparaz, Balasch and Verbauwhede
// describe it ("Dude, is my code constant time?", 2017): the same multiplication is
// timed for two classes of scalars, one that is the same every time and one that is
// drawn anew, in random order; Welch's t-test then says whether the two classes of
// times have different means. Times that the machine made long are cut off at several
// percentiles, and the worst t counts. Below 4.5 there is no evidence of a leak, above
// 10 there is one.

const (
	tSuspicious = 4.5
	tLeak       = 10
)

// classes are measurements of the fixed (0) and the random (1) class.
type classes [2][]float64

// welch returns Welch's t of two samples.
func welch(a, b []float64) float64 {
	mean := func(x []float64) (mean, variance float64) {
		for _, v := range x {
			mean += v
		}
		mean /= float64(len(x))
		for _, v := range x {
			variance += (v - mean) * (v - mean)
		}
		return mean, variance / float64(len(x)-1)
	}
	meanA, varA := mean(a)
	meanB, varB := mean(b)
	return (meanA - meanB) / math.Sqrt(varA/float64(len(a))+varB/float64(len(b)))
}

// worst returns the t of largest magnitude over the whole sample and over what is
// below some percentiles of both classes together.
func (c classes) worst() (worst float64) {
	all := slices.Sorted(slices.Values(slices.Concat(c[0], c[1])))
	for _, percentile := range []float64{0.5, 0.75, 0.9, 0.95, 0.99, 1} {
		limit := all[int(percentile*float64(len(all)-1))]
		var kept classes
		for i := range c {
			for _, v := range c[i] {
				if v <= limit {
					kept[i] = append(kept[i], v)
				}
			}
		}
		if len(kept[0]) < 30 || len(kept[1]) < 30 {
			continue
		}
		if t := welch(kept[0], kept[1]); math.Abs(t) > math.Abs(worst) {
			worst = t
		}
	}
	return worst
}

// measure times do with scalars of both classes, n in all.
func measure(c *Curve, source *rand.ChaCha8, n int, do func(k *fe)) classes {
	// The fixed scalar is a sparse one: windows of zeros are what a multiplication
	// that leaks skips. The same one every time also means the same branches.
	fixed := fe{1}
	scalars, class := make([]fe, n), make([]int, n)
	for i := range scalars {
		class[i] = int(source.Uint64() & 1)
		scalars[i] = fixed
		random := randomScalar(c, source)
		if class[i] == 1 {
			scalars[i] = random
		}
	}
	var times classes
	for i := range scalars {
		k := scalars[i] // both classes from the same place
		began := time.Now()
		do(&k)
		took := time.Since(began)
		times[class[i]] = append(times[class[i]], float64(took.Nanoseconds()))
	}
	return times
}

// randomScalar returns the limbs of a scalar below the order.
func randomScalar(c *Curve, source *rand.ChaCha8) fe {
	b := make([]byte, c.fn.size)
	for {
		_, _ = source.Read(b)
		b[0] &= 0xff >> (8*c.fn.size - c.fn.bits)
		var k fe
		if c.fn.load(&k, b); c.fn.reduced(&k) {
			return k
		}
	}
}

// multiplications are those with secret scalars, and one that may leak.
func multiplications(c *Curve) map[string]func(k *fe) {
	var p projective
	var sum jacobian
	return map[string]func(k *fe){
		"scalarMult":     func(k *fe) { c.scalarMult(&p, &c.g.affine, k) },
		"scalarBaseMult": func(k *fe) { c.scalarBaseMult(&p, k) },
		"vartime":        func(k *fe) { c.combineVartime(&sum, k, &c.g.affine, k) },
	}
}

// TestTiming measures, for as many multiplications as CHAMTHE_TIMING says (100000 are
// a good number), and fails if a multiplication with a secret scalar leaks, or if the
// one of verification, which does, is not found out. It wants a machine that is not
// about to change its clock; other work on it only makes it take longer to see a leak.
// Without the variable it runs through the measurement without looking at the times:
// see TestWelch for what is made of them.
func TestTiming(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("CHAMTHE_TIMING"))
	judged := err == nil && n > 0
	if !judged {
		n = 20
	}
	c := ByName("brainpoolP384r1")
	for name, do := range multiplications(c) {
		t.Run(name, func(t *testing.T) {
			source := rand.NewChaCha8([32]byte{1})
			_ = measure(c, source, 10, do) // tables are made, caches are warm
			times := measure(c, source, n, do)
			if got := len(times[0]) + len(times[1]); got != n || len(times[0]) == 0 || len(times[1]) == 0 {
				t.Fatalf("%d and %d measurements, want %d in all", len(times[0]), len(times[1]), n)
			}
			if !judged {
				return
			}
			worst := times.worst()
			t.Logf("timing\t%s %s, t of %d multiplications\t%.1f", c.Name(), name, n, worst)
			switch leaks := name == "vartime"; {
			case leaks && math.Abs(worst) < tLeak:
				t.Errorf("t = %.1f, and the leak of verification is not seen: measure more", worst)
			case !leaks && math.Abs(worst) > tLeak:
				t.Errorf("t = %.1f: the time depends on the scalar", worst)
			case !leaks && math.Abs(worst) > tSuspicious:
				t.Logf("t = %.1f is more than chance: measure again, and more", worst)
			}
		})
	}
}

// Welch's t of samples whose t is known, and of samples that differ or do not.
func TestWelch(t *testing.T) {
	// Mean 3 and 6, variance 2.5 each, five of each: t = -3/sqrt(0.5 + 0.5).
	if got := welch([]float64{1, 2, 3, 4, 5}, []float64{4, 5, 6, 7, 8}); math.Abs(got+3) > 1e-12 {
		t.Errorf("t = %v, want -3", got)
	}
	source := rand.New(rand.NewPCG(1, 2))
	draw := func(mean float64) classes {
		var c classes
		for range 20_000 {
			for i := range c {
				v := 1000 + source.NormFloat64()*30
				if i == 1 {
					v += mean
				}
				if source.IntN(100) == 0 {
					v += source.ExpFloat64() * 100_000 // the machine did something else
				}
				c[i] = append(c[i], v)
			}
		}
		return c
	}
	if got := math.Abs(draw(0).worst()); got > tSuspicious {
		t.Errorf("same mean: t = %.1f", got)
	}
	if got := math.Abs(draw(5).worst()); got < tLeak {
		t.Errorf("means that differ by half a percent: t = %.1f", got)
	}
}
