clocks_here
alarm_way
if [ -n "$why" ]; then p noalarm "$why $detail"; else p alarm "$by"; fi
:
