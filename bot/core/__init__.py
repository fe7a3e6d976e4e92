"""The functional core: values in, values out. Nothing here touches the world, a clock or chance."""
