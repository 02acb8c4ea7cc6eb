package worker

import (
	"strings"

	"github.com/gopcua/opcua/ua"
)

// unitNamespace is that of UNECE Recommendation 20: unitId is the Common Code, its characters as the bytes of a number (Part 8, 5.6.4.4).
const unitNamespace = "http://www.opcfoundation.org/UA/units/un/cefact"

// ucum gives the UCUM unit for the Common Codes of UNECE Recommendation 20 that machines and meters use. UCUM has no var; maps write var.
var ucum = map[string]string{
	"MTR": "m", "MMT": "mm", "CMT": "cm", "KMT": "km", "4H": "um", "INH": "[in_i]", "FOT": "[ft_i]",
	"MTK": "m2", "MTQ": "m3", "CMQ": "cm3", "LTR": "L", "MLT": "mL",
	"SEC": "s", "C26": "ms", "B98": "us", "MIN": "min", "HUR": "h", "DAY": "d",
	"KGM": "kg", "GRM": "g", "TNE": "t", "LBR": "[lb_av]",
	"CEL": "Cel", "KEL": "K", "FAH": "[degF]",
	"AMP": "A", "4K": "mA", "VLT": "V", "2Z": "mV", "KVT": "kV", "OHM": "Ohm",
	"WTT": "W", "KWT": "kW", "MAW": "MW", "D46": "V.A", "KVA": "kV.A", "D44": "var", "KVR": "kvar",
	"JOU": "J", "KJO": "kJ", "3B": "MJ", "WHR": "W.h", "KWH": "kW.h", "MWH": "MW.h",
	"HTZ": "Hz", "KHZ": "kHz", "MHZ": "MHz",
	"PAL": "Pa", "KPA": "kPa", "MPA": "MPa", "BAR": "bar", "MBR": "mbar",
	"NEW": "N", "B47": "kN", "NU": "N.m",
	"RPM": "{rev}/min", "C94": "/min", "RPS": "{rev}/s", "DD": "deg", "C81": "rad",
	"MTS": "m/s", "2X": "m/min", "C16": "mm/s", "H81": "mm/min", "KMH": "km/h", "MSK": "m/s2",
	"MQH": "m3/h", "L2": "L/min", "KGS": "kg/s",
	"P1": "%", "C62": "1", "LUX": "lx",
}

// unitOf is the UCUM unit of an EngineeringUnits property, or, if that is not known, its text as the server shows it.
func unitOf(v any) (unit, text string) {
	object, ok := v.(*ua.ExtensionObject)
	if !ok || object == nil {
		return "", ""
	}
	eu, ok := object.Value.(*ua.EUInformation)
	if !ok || eu == nil {
		return "", ""
	}
	if eu.DisplayName != nil {
		text = strings.TrimSpace(eu.DisplayName.Text)
	}
	if eu.NamespaceURI == unitNamespace && eu.UnitID > 0 {
		if unit, known := ucum[commonCode(uint32(eu.UnitID))]; known {
			return unit, text
		}
	}
	return "", text
}

// commonCode is the characters of a unitId.
func commonCode(id uint32) string {
	var code []byte
	for shift := 24; shift >= 0; shift -= 8 {
		if c := byte(id >> shift); c != 0 {
			code = append(code, c)
		}
	}
	return string(code)
}
