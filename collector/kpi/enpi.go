package kpi

import (
	"math"
	"strconv"
)

// Keys of Result.Basis that savings use.
const (
	basisR2          = "r2"
	basisCVRMSE      = "cv_rmse"
	basisDrivers     = "drivers"
	basisRange       = "driver_range" // least and greatest daily value of each, in the baseline
	basisUncertainty = "uncertainty"  // of the value, at confidence_t
	basisConfidence  = "confidence_t"
	basisMeter       = "meter_uncertainty"
	basisPeriod      = "baseline_period"
	basisStatic      = "static_factors"
)

// The classes of savings.
const (
	demonstrated    = "demonstrated"
	notDemonstrated = "not_demonstrated"
)

// regression is ordinary least squares of y against columns with a constant.
type regression struct {
	coefficients []float64 // that of the constant first
	n            int
	mean         float64 // of y
	rmse         float64 // √(Σ residual² / (n − coefficients)), as ASHRAE Guideline 14 has it
	r2           float64 // NaN if y never changes
}

// regress fits y = b0 + Σ b_j·x[i][j] by QR decomposition with Householder reflections. ok is false if there are no more rows than
// coefficients, or if the drivers do not vary independently.
func regress(x [][]float64, y []float64) (r regression, ok bool) {
	n := len(y)
	if n == 0 {
		return r, false
	}
	p := len(x[0]) + 1
	if n <= p {
		return r, false
	}
	// a is the matrix by columns, each driver less its mean and scaled to length 1, so that units do not matter to the test of rank.
	a, shift, scale := columns(x, p)
	q := append([]float64(nil), y...)
	diagonal := make([]float64, p)
	for k := range p {
		norm := length(a[k][k:])
		if norm < 1e-9 {
			return r, false
		}
		if a[k][k] > 0 {
			norm = -norm
		}
		diagonal[k] = norm
		a[k][k] -= norm
		for j := k + 1; j < p; j++ {
			mirror(a[k][k:], a[j][k:])
		}
		mirror(a[k][k:], q[k:])
	}
	b := make([]float64, p)
	for k := p - 1; k >= 0; k-- {
		s := q[k]
		for j := k + 1; j < p; j++ {
			s -= a[j][k] * b[j]
		}
		b[k] = s / diagonal[k]
	}
	b[0] *= scale[0]
	for j := 1; j < p; j++ {
		b[j] *= scale[j]
		b[0] -= b[j] * shift[j]
	}
	return judgeFit(b, x, y), true
}

// columns are those of the constant and the drivers, centred and scaled.
func columns(x [][]float64, p int) (a [][]float64, shift, scale []float64) {
	n := len(x)
	a, shift, scale = make([][]float64, p), make([]float64, p), make([]float64, p)
	for j := range p {
		a[j] = make([]float64, n)
		var sum Sum
		for i := range n {
			a[j][i] = 1
			if j > 0 {
				a[j][i] = x[i][j-1]
			}
			sum.Add(a[j][i])
		}
		if j > 0 {
			shift[j] = sum.Value() / float64(n)
		}
		most := 0.0
		for i := range n {
			most = max(most, abs(a[j][i]))
			a[j][i] -= shift[j]
		}
		l := length(a[j])
		if l <= 1e-12*most*math.Sqrt(float64(n)) { // a driver that never changes
			l = inf
		}
		scale[j] = 1 / l
		for i := range n {
			a[j][i] *= scale[j]
		}
	}
	return a, shift, scale
}

// length is the Euclidean one.
func length(v []float64) float64 {
	var s Sum
	for _, x := range v {
		s.Add(x * x)
	}
	return math.Sqrt(s.Value())
}

// mirror puts w to the other side of the plane that is normal to v.
func mirror(v, w []float64) {
	var vv, vw Sum
	for i := range v {
		vv.Add(v[i] * v[i])
		vw.Add(v[i] * w[i])
	}
	f := 2 * vw.Value() / vv.Value()
	for i := range v {
		w[i] -= f * v[i]
	}
}

// judgeFit says how well the coefficients describe y.
func judgeFit(b []float64, x [][]float64, y []float64) regression {
	var sum, sse, sst Sum
	for _, v := range y {
		sum.Add(v)
	}
	r := regression{coefficients: b, n: len(y), mean: sum.Value() / float64(len(y))}
	for i, v := range y {
		e := v - r.predict(1, x[i])
		sse.Add(e * e)
		sst.Add((v - r.mean) * (v - r.mean))
	}
	r.rmse = math.Sqrt(sse.Value() / float64(len(y)-len(b)))
	if r.r2 = math.NaN(); sst.Value() > 0 {
		r.r2 = 1 - sse.Value()/sst.Value()
	}
	return r
}

// predict is the sum of y over so many days with these sums of the drivers.
func (r *regression) predict(days float64, sums []float64) float64 {
	v := r.coefficients[0] * days
	for j, s := range sums {
		v += r.coefficients[j+1] * s
	}
	return v
}

// cvRMSE is the coefficient of variation of the root mean square error.
func (r *regression) cvRMSE() float64 { return r.rmse / r.mean }

func enpiSavings(f *Facts) Result { return f.savings(f.Equipment.Baseline, (*Facts).electricity) }

func accountSavings(f *Facts) Result { return f.savings(f.Account.Baseline, (*Facts).accountCoal) }

// savings compare the energy of the window with what the frozen baseline predicts for the same drivers (ISO 50006): (predicted − actual) /
// predicted. They are demonstrated if they are greater than their uncertainty, which is the root of the sum of squares of
//
//   - t · 1.26 · CV(RMSE) · √((1 + 2/n) / m) · m·mean / predicted, the fractional uncertainty of savings of ASHRAE Guideline 14, Annex B, for
//     residuals that are not correlated, n being the days of the baseline, m those of the window; t and 1.26 are constants of the catalogue,
//   - the uncertainty of the metering chain times actual / predicted.
func (f *Facts) savings(b *Baseline, of func(*Facts) (figure, *Result)) Result {
	if b == nil {
		return absent(MissingInput, "baseline")
	}
	if day := f.firstDay(); day <= b.To || day <= b.Change {
		return absent(NotYet, "baseline")
	}
	fit, constants, no := f.fit(b)
	if no != nil {
		return *no
	}
	actual, no := of(f)
	if no != nil {
		return *no
	}
	days := f.days()
	sums := make([]float64, len(b.Drivers))
	for j, name := range b.Drivers {
		d, no := f.driver(name)
		if no != nil {
			return *no
		}
		least, most := driverRange(b, j)
		if daily := d.value / days; daily < least || daily > most {
			return absent(OutOfRange, name)
		}
		sums[j] = d.value
		actual.said = actual.with(d.said)
	}
	predicted := f.step("predicted", fit.predict(days, sums), "", "baseline")
	if predicted <= 0 {
		return absent(ZeroDenominator, b.Drivers...)
	}
	for _, c := range constants {
		actual.said = actual.with(c.said)
	}
	return f.compare(b, &fit, actual, exact(predicted), constants)
}

// fit is the regression of the baseline, and the constants t and 1.26.
func (f *Facts) fit(b *Baseline) (fit regression, constants []figure, no *Result) {
	constants, no = constantsOf(f, "enpi_min_points", "enpi_confidence_t", "enpi_savings_factor")
	if no != nil {
		return fit, nil, no
	}
	x, y := make([][]float64, len(b.Days)), make([]float64, len(b.Days))
	for i, d := range b.Days {
		if len(d.Drivers) != len(b.Drivers) {
			return fit, nil, refused(MissingInput, "baseline/"+d.Date)
		}
		x[i], y[i] = d.Drivers, d.Energy
	}
	if float64(len(y)) < constants[0].value {
		return fit, nil, refused(TooFewData, "baseline")
	}
	fit, ok := regress(x, y)
	if !ok || fit.mean <= 0 {
		return fit, nil, refused(TooFewData, "baseline")
	}
	for j, c := range fit.coefficients {
		name := "constant"
		if j > 0 {
			name = b.Drivers[j-1]
		}
		f.step("coefficient of "+name, c, "", "baseline")
	}
	return fit, constants, nil
}

// compare publishes savings with their uncertainty.
func (f *Facts) compare(b *Baseline, fit *regression, actual, predicted figure, constants []figure) Result {
	m, n := f.days(), float64(fit.n)
	t, factor := constants[1].value, constants[2].value
	model := f.step("uncertainty of the model", t*factor*fit.cvRMSE()*math.Sqrt((1+2/n)/m)*m*fit.mean/predicted.value, "1", "t·1.26·CV(RMSE)·√((1+2/n)/m)·m·mean/predicted")
	meter := f.step("uncertainty of the meters", b.Meter*actual.value/predicted.value, "1", "meter_uncertainty·actual/predicted")
	u := math.Hypot(model, meter)
	s := predicted.minus(actual).over(predicted)
	s.low, s.high = s.low-u, s.high+u
	s.note(basisCount, strconv.Itoa(fit.n))
	if fit.r2 == fit.r2 {
		s.note(basisR2, decimal(fit.r2))
	}
	s.note(basisCVRMSE, decimal(fit.cvRMSE()))
	s.note(basisUncertainty, decimal(u))
	s.note(basisConfidence, decimal(t))
	s.note(basisMeter, decimal(b.Meter))
	s.note(basisPeriod, b.From+"/"+b.To)
	s.note(basisStatic, b.Static)
	names, ranges := "", ""
	for j, name := range b.Drivers {
		least, most := driverRange(b, j)
		if j > 0 {
			names, ranges = names+", ", ranges+", "
		}
		names += name
		ranges += decimal(least) + ".." + decimal(most)
	}
	s.note(basisDrivers, names)
	s.note(basisRange, ranges)
	r := f.result(s)
	if r.Absent != "" {
		return r
	}
	r.Num, r.Den = Number(predicted.value-actual.value), Number(predicted.value)
	r.Class = notDemonstrated
	if s.low > 0 {
		r.Class = demonstrated
	}
	return r
}

// driverRange is the least and the greatest daily value of a driver in the baseline.
func driverRange(b *Baseline, j int) (least, most float64) {
	least, most = inf, -inf
	for _, d := range b.Days {
		least, most = min(least, d.Drivers[j]), max(most, d.Drivers[j])
	}
	return least, most
}

// driver is the sum of a driver over the window.
func (f *Facts) driver(name string) (a figure, no *Result) {
	switch name {
	case "parts":
		parts := f.total()
		if !parts.known() {
			return a, refused(parts.why, merged(parts.missing, parts.inputs)...)
		}
		return parts.figure(), nil
	case "good_parts":
		a, no = f.made()
		if no == nil && a.basis[basisPartsAre] == "total" {
			return a, refused(MissingInput, "good_parts")
		}
		return a, no
	case "processing_hours":
		return f.processingHours()
	case "output_t":
		if f.Account != nil {
			return f.accountOutput()
		}
		return f.tonnes()
	}
	return a, refused(MissingInput, name)
}

// processingHours are those of APT. Unknown time may hold more.
func (f *Facts) processingHours() (a figure, no *Result) {
	if f.Shape.Mapping == "" {
		return a, refused(MissingInput, needState)
	}
	busy, unknown := everywhere(f.Tally, APT), everywhere(f.Tally, Unknown)
	if unknown >= f.length() {
		return a, refused(NoData, f.Shape.States...)
	}
	a = exact(float64(busy) / msPerHour)
	a.high += float64(unknown) / msPerHour
	a.coverage = float64(f.length()-unknown) / float64(f.length())
	a.inputs = f.Shape.States
	return a, nil
}

// days is how many days of production the window has.
func (f *Facts) days() float64 {
	const day = 24 * msPerHour
	return math.Round(float64(f.length()) / day)
}

// firstDay is the first day of production of a day or month window.
func (f *Facts) firstDay() string {
	if f.Window.Kind == Month {
		return f.Window.Label + "-01"
	}
	return f.Window.Label
}
