# Leads absolute paths into the host's root. @MARK@, one control character, stands for the root while the rules run, so
# that no path is led twice.
s#@ROOTREGEX@#@MARK@#g
:again
s#(^|[^A-Za-z0-9._$}/~*?@MARK@])/(bin|boot|dev/pts|etc|home|opt|proc|root|run|sbin|srv|sys|usr|var)([^A-Za-z0-9._-]|$)#\1@MARK@/\2\3#
t again
s#@MARK@/\.sim/plain/#@MARK@/#g
s#@MARK@/\.sim/self/[0-9]*#@MARK@/proc/self#g
s#@MARK@/proc/self#@MARK@/.sim/self/@UID@#g
@VIEW@
s#@MARK@#@ROOT@#g
