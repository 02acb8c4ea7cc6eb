package worker

import (
	"fmt"
	"strings"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
)

// statusCauses are the StatusCodes (Part 6, A.2) that have a cause of their own.
var statusCauses = func() map[ua.StatusCode]drivers.Cause {
	m := map[ua.StatusCode]drivers.Cause{
		ua.StatusBadTimeout:              drivers.CauseTimeout,
		ua.StatusBadRequestTimeout:       drivers.CauseTimeout,
		ua.StatusBadTypeMismatch:         drivers.CauseTypeMismatch,
		ua.StatusBadNoData:               drivers.CauseNotAvailable,
		ua.StatusBadServerNotConnected:   drivers.CauseLost,
		ua.StatusBadConnectionClosed:     drivers.CauseLost,
		ua.StatusBadSecureChannelClosed:  drivers.CauseLost,
		ua.StatusBadServerHalted:         drivers.CauseServerNotReady,
		ua.StatusBadShutdown:             drivers.CauseServerNotReady,
		ua.StatusBadTooManySessions:      drivers.CauseSessionsExhausted,
		ua.StatusBadIdentityTokenInvalid: drivers.CauseUserRefused, ua.StatusBadIdentityTokenRejected: drivers.CauseUserRefused,
	}
	for code, name := range map[ua.StatusCode]string{
		ua.StatusBadNodeIDUnknown:                        "bad_node_id_unknown",
		ua.StatusBadNodeIDInvalid:                        "bad_node_id_invalid",
		ua.StatusBadAttributeIDInvalid:                   "bad_attribute_id_invalid",
		ua.StatusBadNotReadable:                          "bad_not_readable",
		ua.StatusBadUserAccessDenied:                     "bad_user_access_denied",
		ua.StatusBadSecurityModeInsufficient:             "bad_security_mode_insufficient",
		ua.StatusBadIndexRangeNoData:                     "bad_index_range_no_data",
		ua.StatusBadDataTypeIDUnknown:                    "bad_data_type_id_unknown",
		ua.StatusBadTooManyMonitoredItems:                "bad_too_many_monitored_items",
		ua.StatusBadWaitingForInitialData:                "bad_waiting_for_initial_data",
		ua.StatusBadNoCommunication:                      "bad_no_communication",
		ua.StatusBadCommunicationError:                   "bad_communication_error",
		ua.StatusBadNotConnected:                         "bad_not_connected",
		ua.StatusBadDeviceFailure:                        "bad_device_failure",
		ua.StatusBadSensorFailure:                        "bad_sensor_failure",
		ua.StatusBadOutOfService:                         "bad_out_of_service",
		ua.StatusBadConfigurationError:                   "bad_configuration_error",
		ua.StatusBadInternalError:                        "bad_internal_error",
		ua.StatusUncertainLastUsableValue:                "uncertain_last_usable_value",
		ua.StatusUncertainNoCommunicationLastUsableValue: "uncertain_no_communication_last_usable_value",
		ua.StatusUncertainInitialValue:                   "uncertain_initial_value",
		ua.StatusUncertainSubstituteValue:                "uncertain_substitute_value",
		ua.StatusUncertainSensorNotAccurate:              "uncertain_sensor_not_accurate",
		ua.StatusUncertainEngineeringUnitsExceeded:       "uncertain_engineering_units_exceeded",
		ua.StatusUncertainSubNormal:                      "uncertain_sub_normal",
	} {
		m[code] = drivers.OPCUAStatus(name)
	}
	return m
}()

var (
	causeBad           = drivers.OPCUAStatus("bad")
	causeUncertain     = drivers.OPCUAStatus("uncertain")
	causeNoElement     = drivers.OPCUAStatus("bad_index_range_no_data")
	causeUnknownStruct = drivers.OPCUAStatus("bad_data_type_id_unknown")
)

// statusCause is why a value or an answer with this StatusCode is not good; empty for a good one. The flags in the low half do not matter
// (Part 4, 7.39).
func statusCause(code ua.StatusCode) drivers.Cause {
	if cause, ok := statusCauses[code&0xffff0000]; ok {
		return cause
	}
	switch code >> 30 {
	case 0:
		return ""
	case 1:
		return causeUncertain
	}
	return causeBad
}

// statusText is the StatusCode as the standard spells it, such as BadNodeIdUnknown, or its number in hexadecimal.
func statusText(code ua.StatusCode) string {
	if code>>16 == 0 {
		return "Good"
	}
	d, ok := ua.StatusCodes[code&0xffff0000]
	if !ok {
		return fmt.Sprintf("0x%08X", uint32(code))
	}
	return strings.ReplaceAll(strings.TrimPrefix(d.Name, "Status"), "ID", "Id")
}
